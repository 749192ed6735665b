#!@bb@/bin/sh
# What a generation of generation.nix does on its host: `boot` tells the boot loader, `test` and
# `switch` exchange the web service and move /run/current-system, as NixOS does.
set -eu
export PATH=@bb@/bin
out=@out@ site=@site@
echo "@label@ $1" >>/run/switches

# swap LINK: LINK leads to this generation, at every moment to one.
swap() {
  ln -s "$out" "$1.$$"
  mv -T "$1.$$" "$1"
}

case $1 in
  boot) swap /nix/var/boot-default ;;
  test | switch)
    if [ -e /run/web.pid ]; then
      pid=$(cat /run/web.pid) tries=50
      kill "$pid" 2>/dev/null || :
      while [ -d "/proc/$pid" ] && [ "$tries" -gt 0 ]; do
        sleep 0.1
        tries=$((tries - 1))
      done
    fi
    setsid httpd -f -p "$(cat /run/web-address)" -h "$site" >/dev/null 2>&1 </dev/null &
    echo $! >/run/web.pid
    [ "$1" = test ] || swap /nix/var/boot-default
    swap /run/current-system
    ;;
  *) exit 64 ;;
esac
