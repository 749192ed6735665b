/**
 * The two shell scripts that do their work without us: POSIX sh, no Node, no network.
 *
 * They are static text, written to the disk on first use; everything that differs comes in as an
 * argument or as a line of a file that they read, and is never parsed as shell. They use `mv -T`,
 * `readlink -f`, `timeout`, `sync` and fractions of `sleep`, which GNU coreutils and BusyBox share.
 */

/** What both scripts need: who a process is. A number alone may have gone to another process. */
const PROCESS_FUNCTIONS = `
# start_of PID: sets start to the process's start time (field 22 of its stat), '' when it is gone.
start_of() {
  start=
  stat=
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
  # The command's name may hold blanks and brackets: fields are counted after its last bracket.
  set -f
  set -- \${stat##*) }
  set +f
  start=\${20}
}
`

/**
 * deadman.sh DIRECTORY TOKEN: waits for the deadline in DIRECTORY, then goes back.
 *
 * The names in DIRECTORY are the state; see deadman.ts for what they mean.
 */
export const DEADMAN_SCRIPT: string = `#!/bin/sh
# nixfleet's deadman: goes back to the old generation unless somebody stops it in time.
# Written by nixfleet; changes are overwritten.
set -u
umask 077
token=$2
cd "$1" || exit 71
${PROCESS_FUNCTIONS}
# now: milliseconds since boot, suspend included.
now() {
  read -r up _ </proc/uptime
  now=\${up%.*}\${up#*.}0
}

# find_armed: sets n to the number of the armed file, or fails.
find_armed() {
  for file in armed.*; do
    if [ -e "$file" ]; then n=\${file#armed.}; return 0; fi
  done
  return 1
}

# load N: sets found (the token), deadline, boot and bootfile from terms.N.
load() {
  found= deadline= boot= bootfile=
  [ -e "terms.$1" ] || return 1
  while IFS= read -r line; do
    case $line in
      'token '*) found=\${line#token } ;;
      'deadline '*) deadline=\${line#deadline } ;;
      'boot '*) boot=\${line#boot } ;;
      'boot-file '*) bootfile=\${line#boot-file } ;;
    esac
  done <"terms.$1"
  [ -n "$found" ] && [ -n "$deadline" ]
}

# other_boot: whether the boot id is known and not the one of the terms. Then the boot was the way
# back already. An id that cannot be read stops nothing.
other_boot() {
  today=$(cat "$bootfile" 2>/dev/null)
  [ -n "$today" ] && [ "$today" != "$boot" ]
}

# end_activation PIDFILE UNIT: nothing may go forward while we go back.
end_activation() {
  if [ -n "$2" ]; then
    timeout -k 5 30 systemctl stop "$2" >/dev/null 2>&1
  fi
  [ -e "$1" ] || return 0
  pid= began=
  read -r pid began <"$1"
  [ -n "$pid" ] && start_of "$pid" && [ "$start" = "$began" ] || return 0
  kill -TERM "-$pid" 2>/dev/null
  tries=20
  while kill -0 "-$pid" 2>/dev/null && [ "$tries" -gt 0 ]; do
    sleep 0.1
    tries=$((tries - 1))
  done
  kill -KILL "-$pid" 2>/dev/null
  rm -f "$1"
}

# go_back N: carries out the steps of terms.N, all of them, whatever fails.
go_back() {
  failed=0 link= want= pidfile= unit=
  while IFS= read -r line; do
    case $line in
      'end-pidfile '*) pidfile=\${line#end-pidfile } ;;
      'end-unit '*) unit=\${line#end-unit } ;;
    esac
  done <"terms.$1"
  end_activation "$pidfile" "$unit"
  n=$1
  set --
  while IFS= read -r line <&3; do
    case $line in
      'arg '*) set -- "$@" "\${line#arg }" ;;
      'unless-link '*) link=\${line#unless-link } ;;
      'leads-to '*) want=\${line#leads-to } ;;
      'run '*)
        if [ -z "$link" ] || [ "$(readlink -f "$link")" != "$want" ]; then
          timeout -k 5 "\${line#run }" "$@" </dev/null >>"log.$n" 2>&1 3<&- || failed=1
        fi
        link= want=
        set --
        ;;
    esac
  done 3<"terms.$n"
  sync
  if [ "$failed" = 0 ]; then : >"done.ok.$n"; else : >"done.failed.$n"; fi
  sync
}

# end_session PID START: ends what a script left that was PID, in the session that was its own.
end_session() {
  leader=$1
  start_of "$leader" && [ "$start" != "$2" ] && return 0
  tries=50 left=1
  while [ "$left" = 1 ] && [ "$tries" -gt 0 ]; do
    left=0
    for file in /proc/[0-9]*/stat; do
      stat=
      read -r stat 2>/dev/null <"$file" || continue
      set -f
      set -- \${stat##*) }
      set +f
      if [ "$4" = "$leader" ] && [ "$1" != Z ]; then
        pid=\${file#/proc/}
        kill -KILL "\${pid%/stat}" 2>/dev/null
        left=1
      fi
    done
    [ "$left" = 0 ] || sleep 0.1
    tries=$((tries - 1))
  done
}

# From here on only the firing can end us: a closing terminal or a stopping daemon does not.
trap '' HUP INT TERM

# One that died may have left a step of its way back running: two at once would undo each other.
pid= began= whose=
read -r pid began whose 2>/dev/null <watcher
[ "$whose" = "$token" ] && [ "$pid" != "$$" ] && end_session "$pid" "$began"

# Our name before anything is done: who ends a way back has to find all of it.
start_of $$
printf '%s %s %s\\n' "$$" "$start" "$token" >watcher-$$
mv -f watcher-$$ watcher

# A script that died on its way back left fired.N without an end: finish it.
for file in fired.*; do
  [ -e "$file" ] || continue
  n=\${file#fired.}
  load "$n" && [ "$found" = "$token" ] || continue
  other_boot && exit 0
  if [ ! -e "done.ok.$n" ] && [ ! -e "done.failed.$n" ]; then
    go_back "$n"
  fi
  exit 0
done

# The file is armed after we say that we watch, and a rename under our reading can hide it: only
# ten seconds without one mean that there is none.
misses=0
while :; do
  if find_armed && load "$n"; then
    misses=0
    [ "$found" = "$token" ] || exit 0
    other_boot && exit 0
    now
    if [ "$now" -ge "$deadline" ]; then
      # One rename decides between us, a renewal and a disarming: the losers find nothing to move.
      if mv -T "armed.$n" "fired.$n" 2>/dev/null; then
        sync
        go_back "$n"
        exit 0
      fi
    elif [ $((deadline - now)) -gt 3000 ]; then
      sleep 1
    else
      sleep 0.1
    fi
  else
    misses=$((misses + 1))
    [ "$misses" -lt 100 ] || exit 0
    for file in disarmed.*; do
      [ -e "$file" ] && load "\${file#disarmed.}" && [ "$found" = "$token" ] && exit 0
    done
    sleep 0.1
  fi
done
`

/**
 * activate.sh DEADMAN PIDFILE LOG LINK TEXT PROGRAM ARGUMENT…: one activation.
 *
 * Runs apart from the daemon and swaps LINK (unless it is '-') itself, so that a daemon that dies
 * half-way leaves a true account of what runs. Ends with the program's exit code, or with 75 when
 * the deadman is on its way back. DEADMAN is '-' for the deadman's own activation.
 */
export const ACTIVATE_SCRIPT: string = `#!/bin/sh
# One activation of a nixfleet generation. Written by nixfleet; changes are overwritten.
set -u
umask 077
deadman=$1 pidfile=$2 log=$3 link=$4 text=$5
shift 5
exec >"$log" 2>&1 </dev/null
${PROCESS_FUNCTIONS}
start_of $$
printf '%s %s\\n' "$$" "$start" >"$pidfile.$$"
mv -f "$pidfile.$$" "$pidfile"

# First our name, then this look; the deadman moves its file first and reads our name then. So at
# least one of the two sees the other, and nothing goes forward once it has gone back.
for file in "$deadman"/fired.*; do
  [ -e "$file" ] || continue
  n=\${file##*.}
  [ -e "$deadman/done.ok.$n" ] || [ -e "$deadman/done.failed.$n" ] || {
    echo 'the deadman has fired and is on its way back'
    rm -f "$pidfile"
    exit 75
  }
done

"$@"
code=$?
if [ "$code" = 0 ] && [ "$link" != - ]; then
  ln -s -- "$text" "$link.$$" && mv -T "$link.$$" "$link" && sync || code=74
fi
rm -f "$pidfile"
exit "$code"
`
