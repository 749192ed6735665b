# One generation, built by real Nix: busybox, the site that it serves, and the system itself.
{ label, page, busybox, ballast ? "" }:
let
  bb = builtins.path {
    path = busybox;
    name = "busybox";
  };
  # Folders beside it, which make a closure large.
  weights =
    if ballast == "" then [ ]
    else map (part: builtins.path { path = ballast + "/${part}"; name = "ballast-${label}-${part}"; })
      (builtins.attrNames (builtins.readDir ballast));
  build = name: script: values: derivation ({
    inherit name;
    system = builtins.currentSystem;
    builder = "${bb}/bin/sh";
    args = [ "-euc" script ];
    PATH = "${bb}/bin";
  } // values);
  site = build "site-${label}" ''
    mkdir "$out"
    if [ -n "$page" ]; then echo "$page" >"$out/index.html"; fi
  '' { inherit page; };
in
build "system-${label}" ''
  mkdir -p "$out/bin"
  sed "s|@bb@|$bb|; s|@site@|$site|; s|@out@|$out|; s|@label@|$label|" "$switch" \
    >"$out/bin/switch-to-configuration"
  chmod +x "$out/bin/switch-to-configuration"
  echo "$weights" >"$out/weights"
'' {
  inherit bb site label weights;
  switch = ./switch-to-configuration.sh;
}
