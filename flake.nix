# Minimal, and honest about it:
#   packages   built from this lock file; see `nodeModules` for the hash that is still to be filled in
#   devShells  Node and the tools that the test suites use
#   NixOS modules: not here yet
{
  description = "Fleet management for NixOS without a central server";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      manifest = lib.importJSON ./package.json;
    in
    {
      packages = forEachSystem (pkgs: rec {
        # buildNpmPackage wants download addresses in the lock file, and ours has none on purpose
        # (docs/decisions/0003-npm-install-not-ci.md). npm checks every package against the lock
        # file's hashes; this hash fixes the whole. It differs between systems, because native parts
        # do, and it is not filled in: the first build prints it.
        nodeModules = pkgs.stdenvNoCC.mkDerivation {
          pname = "nixfleet-node-modules";
          inherit (manifest) version;
          src = lib.fileset.toSource {
            root = ./.;
            fileset = lib.fileset.unions [
              ./package.json
              ./package-lock.json
              ./.npmrc
            ];
          };
          nativeBuildInputs = [
            pkgs.nodejs_22
            pkgs.cacert
          ];
          buildPhase = ''
            export HOME=$TMPDIR
            npm install --include=dev --ignore-scripts
          '';
          installPhase = "mv node_modules $out";
          dontFixup = true;
          outputHashMode = "recursive";
          outputHash = lib.fakeHash;
        };

        nixfleet = pkgs.stdenv.mkDerivation {
          pname = "nixfleet";
          inherit (manifest) version;
          src = self;
          nativeBuildInputs = [
            pkgs.nodejs_22
            pkgs.makeWrapper
          ];
          buildPhase = ''
            cp -r ${nodeModules} node_modules
            chmod -R u+w node_modules
            node cli/bundle.mjs
          '';
          # The bundle holds everything but the native store and what that loads.
          installPhase = ''
            mkdir -p $out/lib/nixfleet/node_modules $out/bin
            cp -r dist package.json $out/lib/nixfleet/
            for name in classic-level abstract-level buffer base64-js ieee754 is-buffer \
              level-supports level-transcoder maybe-combine-errors module-error napi-macros node-gyp-build; do
              cp -r node_modules/$name $out/lib/nixfleet/node_modules/
            done
            makeWrapper ${lib.getExe pkgs.nodejs_22} $out/bin/nixfleet \
              --add-flags $out/lib/nixfleet/dist/nixfleet.cjs
          '';
          meta = {
            inherit (manifest) description;
            license = lib.licenses.mit;
            mainProgram = "nixfleet";
            platforms = systems;
          };
        };

        default = nixfleet;
      });

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = with pkgs; [
            nodejs_22
            nix
            busybox
            jq
            zstd
            xz
            iproute2
            nftables
            tmux
          ];
        };
      });
    };
}
