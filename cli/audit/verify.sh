#!/usr/bin/env bash
# Checks a pull of a nixfleet log with nothing but bash (4.4 or newer), openssl (3) and coreutils.
#
#     ./verify.sh ROOT-HASH [FOLDER]
#
# ROOT-HASH must come from elsewhere: from the configuration of the fleet's hosts, where it is
# pinned, or from whoever founded the fleet. What lies in this folder cannot vouch for itself, and
# neither can this script: read it, or bring your own.
#
# Exit code 0: nothing was found. 4: every finding is a line. 64: wrong usage.
set -u
export LC_ALL=C

ROOT_HASH=${1:-}
PULL=${2:-$(dirname "$0")}
if [[ ! $ROOT_HASH =~ ^[0-9a-f]{64}$ || ! -d $PULL/documents ]]; then
  echo "usage: verify.sh ROOT-HASH [FOLDER]   (64 hex digits; a folder with documents/)" >&2
  exit 64
fi
WORK=$(mktemp -d) || exit 74
trap 'rm -rf "$WORK"' EXIT

FINDINGS=0
FACTS=0
BLOCKS=0
finding() {
  FINDINGS=$((FINDINGS + 1))
  printf '%s: %s\n' "$1" "$2"
}

source "$(dirname "$0")/verify-bytes.sh"

# --- documents ---------------------------------------------------------------------------------
ascii nixfleet/v1/
DOMAIN=$ASCII
declare -A ADMIN=() KNOWN=() QUORUM=() GENESIS=() VOTER=() COSIGNER=() GROUPS_SEEN=()
declare -A DOCUMENT_AT=() RECOVER=() LAST_EPOCH=()
# The admins of each root, between blanks, and how many of them must sign.
declare -a ADMINS=() THRESHOLDS=()
enough() { # VERSION [MORE]: enough of its admins are among SIGNERS, MORE than else for a recovery
  local key count=0 all=0 needed
  for key in ${ADMINS[$1]}; do
    all=$((all + 1))
    [[ $SIGNERS != *" $key "* ]] || count=$((count + 1))
  done
  needed=$((THRESHOLDS[$1] + ${2:-0}))
  ((needed <= all)) || needed=$all
  ((count >= needed))
}
# A document's payload into PAYLOAD, if enough admins signed it: of a root those of the version before and
# its own, of a configuration those of any root, one more for a recovery.
document() { # FILE TYPE [VERSION]
  local i key version admins more=0
  SIGNERS=' '
  sha "$1"
  DOCUMENT=$SHA
  spaced "$1"
  decode "${SPACED// /}" || return 1
  PAYLOAD=${V[d.0]:-}
  local -A outer=()
  for i in "${!V[@]}"; do outer[$i]=${V[$i]}; done
  put "$PAYLOAD" "$WORK/payload"
  sha "$WORK/payload"
  HASH=$SHA
  if [[ $2 == root ]]; then
    if (($3 == 1)); then
      [[ $HASH == "$ROOT_HASH" ]] || return 2
      FLEET=${HASH:0:32}
    fi
    decode "$PAYLOAD" || return 1
    [[ ${V[d.version]:-} == "$3" && ${V[d.previous]:-} == "$LAST_HASH" ]] || return 1
    (($3 == 1)) || [[ ${V[d.name]:-} == "$LAST_NAME" ]] || return 1
    admins=${V[d.admins.#]} THRESHOLDS[$3]=${V[d.threshold]} ADMINS[$3]=' '
    for ((i = 0; i < admins; i++)); do ADMINS[$3]+="${V[d.admins.$i]} " ADMIN[${V[d.admins.$i]}]=1; done
    ((2 * THRESHOLDS[$3] > admins && THRESHOLDS[$3] <= admins)) || return 1
  fi
  ascii "$2"
  put "$DOMAIN${ASCII}00$FLEET$PAYLOAD" "$WORK/message"
  for ((i = 0; i < ${outer[d.1.#]:-0}; i++)); do
    key=${outer[d.1.$i.0]}
    [[ -n ${ADMIN[$key]:-} && $SIGNERS != *" $key "* ]] || continue
    put "${outer[d.1.$i.1]}" "$WORK/signature"
    if signed "$key" "$WORK/message" "$WORK/signature"; then SIGNERS+="$key "; fi
  done
  decode "$PAYLOAD" || return 1
  if [[ $2 == root ]]; then
    enough "$3" && { (($3 == 1)) || enough $(($3 - 1)); } || return 3
  else
    [[ -z ${V[d.recover.slot]:-} ]] || more=1
    for version in "${!ADMINS[@]}" none; do
      [[ $version != none ]] || return 3
      ! enough "$version" "$more" || break
    done
  fi
}
root_document() { # VERSION
  local i
  document "$PULL/documents/root.$1.cbor" root "$1" || { i=$?; unset "ADMINS[$1]" "THRESHOLDS[$1]"; return "$i"; }
  LAST_HASH=$HASH LAST_NAME=${V[d.name]}
  for ((i = 0; i < V[d.admins.#]; i++)); do KNOWN[${V[d.admins.$i]}]=admin; done
  for ((i = 0; i < V[d.operators.#]; i++)); do text "${V[d.operators.$i.name]}"; KNOWN[${V[d.operators.$i.key]}]=$TEXT; done
  for ((i = 0; i < V[d.releaseKeys.#]; i++)); do text "${V[d.releaseKeys.$i.name]}"; KNOWN[${V[d.releaseKeys.$i.key]}]=$TEXT; done
}
documents() {
  local file name epoch group i j at version
  LAST_HASH='' LAST_NAME=''
  root_document 1
  case $? in
    0) ;;
    2) finding ROOT "documents/root.1.cbor has the hash $HASH, expected $ROOT_HASH"; return 1 ;;
    *) finding ROOT "documents/root.1.cbor is malformed or not signed by enough admins"; return 1 ;;
  esac
  local roots=("$PULL"/documents/root.*)
  for ((version = 2; version <= ${#roots[@]}; version++)); do
    root_document "$version" && continue
    finding ROOT "documents/root.$version.cbor does not follow the root before it, or too few admins signed it"
    break
  done
  for file in "$PULL"/documents/group.*.cbor; do
    name=documents/${file##*/}
    if [[ ! -f $file ]] || ! document "$file" group-config || [[ ${V[d.fleet]:-} != "$FLEET" ]]; then
      finding CONFIG "$name is malformed, of another fleet, or not signed by enough admins"
      continue
    fi
    text "${V[d.group]}"
    group=$TEXT epoch=${V[d.epoch]} at=$group/$epoch
    GROUPS_SEEN[$group]=1 QUORUM[$at]=${V[d.quorum]} GENESIS[$at]=$HASH DOCUMENT_AT[$at]=$DOCUMENT
    [[ -n ${V[d.recover.slot]:-} ]] && RECOVER[$at]="${V[d.recover.slot]} ${V[d.recover.head]}"
    ((epoch > ${LAST_EPOCH[$group]:-0})) && LAST_EPOCH[$group]=$epoch
    for ((i = 0; i < V[d.hosts.#]; i++)); do
      text "${V[d.hosts.$i.name]}"
      KNOWN[${V[d.hosts.$i.fact]}]=$TEXT
      for ((j = 0; j < V[d.voters.#]; j++)); do
        [[ ${V[d.voters.$j]} == "${V[d.hosts.$i.name]}" ]] || continue
        VOTER[$at/${V[d.hosts.$i.fact]}]=$TEXT
        COSIGNER[$at/$TEXT]=${V[d.hosts.$i.cosign]}
      done
    done
  done
}

# --- logs --------------------------------------------------------------------------------------
number() { # INDEX WIDTH -> NUMBER, as tlog-tiles names it
  local digits=$1
  while ((${#digits} % 3)); do digits=0$digits; done
  NUMBER=
  while ((${#digits} > 3)); do NUMBER+=x${digits:0:3}/ digits=${digits:3}; done
  NUMBER+=$digits
  (($2 == 256)) || NUMBER+=.p/$2
}
# Splits a list of length-prefixed pieces in SPACED into PIECES (spaced hex).
pieces() {
  local at=0 size total=$((${#SPACED} / 3)) length
  PIECES=()
  while ((at < total)); do
    length=${SPACED:3*at:6}
    [[ ${#length} == 6 ]] || return 1
    size=$((16#${length// /}))
    ((at + 2 + size <= total)) || return 1
    PIECES+=("${SPACED:3*(at+2):3*size}")
    at=$((at + 2 + size))
  done
}
hashes() { # PREFIX COUNT -> HASHES of $WORK/PREFIX.0 …
  local i line names=()
  HASHES=()
  for ((i = 0; i < $2; i++)); do
    names+=("$1.$i")
    ((${#names[@]} < 1000 && i + 1 < $2)) && continue
    (cd "$WORK" && sha256sum -- "${names[@]}") >"$WORK/sums"
    while read -r line _; do HASHES+=("$line"); done <"$WORK/sums"
    names=()
  done
}
# The tree over the entries: LEVEL[k/i], complete subtrees only, and COUNT[k].
declare -A LEVEL=() COUNT=()
tree() { # SIZE; the leaves' files are $WORK/leaf.i
  local k=0 i pairs
  LEVEL=() COUNT=()
  hashes leaf "$1"
  COUNT[0]=$1
  for ((i = 0; i < $1; i++)); do LEVEL[0/$i]=${HASHES[i]}; done
  while ((COUNT[$k] > 1)); do
    pairs=$((COUNT[$k] / 2))
    for ((i = 0; i < pairs; i++)); do put "01${LEVEL[$k/$((2 * i))]}${LEVEL[$k/$((2 * i + 1))]}" "$WORK/node.$i"; done
    hashes node "$pairs"
    k=$((k + 1))
    COUNT[$k]=$pairs
    for ((i = 0; i < pairs; i++)); do LEVEL[$k/$i]=${HASHES[i]}; done
  done
}
root_at() { # SIZE -> ROOT: the complete subtrees from the right, folded
  local rest=$1 k=0 peaks=()
  if (($1 == 0)); then ROOT=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855; return; fi
  while ((rest > 0)); do
    ((rest & 1)) && peaks+=("${LEVEL[$k/$((rest - 1))]}")
    rest=$((rest >> 1)) k=$((k + 1))
  done
  ROOT=${peaks[0]}
  for ((k = 1; k < ${#peaks[@]}; k++)); do
    put "01${peaks[k]}$ROOT" "$WORK/fold"
    sha "$WORK/fold"
    ROOT=$SHA
  done
}
# Reads a log's head and bundles: ENTRIES (hex), the files leaf.i, entry.i, signature.i, and CERTS.
log() { # NAME ORIGIN CERTIFIED
  local folder=$PULL/$1 lines size index width i piece at=0 base hex level found wanted
  ENTRIES=() CERTS=() WHOLE=1
  mapfile -t lines <"$folder/head" 2>/dev/null || lines=()
  size=${lines[1]:-}
  if [[ ${lines[0]:-} != "$2" || ! $size =~ ^(0|[1-9][0-9]{0,9})$ ]]; then
    finding HEAD "$1/head: expected origin $2, a size and a root"
    return 1
  fi
  for ((index = 0; index * 256 < size; index++)); do
    width=$((size - index * 256 < 256 ? size - index * 256 : 256))
    number $index $width
    base=$((index * 256))
    if [[ ! -f $folder/tile/entries/$NUMBER || ! -f $folder/signatures/$NUMBER ]]; then
      finding BUNDLE "$1: entries $base to $((base + width - 1)) or their signatures are missing ($NUMBER)"
      WHOLE=0
      continue
    fi
    if [[ $3 == 1 ]]; then
      spaced "$folder/certificates/$NUMBER" 2>/dev/null
      pieces && ((${#PIECES[@]} == width)) || finding BUNDLE "$1/certificates/$NUMBER: expected $width certificates"
      for ((i = 0; i < width; i++)); do CERTS[at + i]=${PIECES[i]:-}; done
    fi
    spaced "$folder/signatures/$NUMBER"
    hex=$SPACED
    spaced "$folder/tile/entries/$NUMBER"
    if ! pieces || ((${#PIECES[@]} != width || ${#hex} != 192 * width)); then
      finding BUNDLE "$1: expected $width whole entries from $base on with a signature each ($NUMBER)"
      WHOLE=0
    fi
    for ((i = 0; i < ${#PIECES[@]}; i++)); do
      piece=${PIECES[i]}
      printf "\\x00${piece// /\\x}" >"$WORK/leaf.$at"
      printf "${piece// /\\x}" >"$WORK/entry.$at"
      piece=${hex:192*i:192}
      printf "${piece// /\\x}" >"$WORK/signature.$at"
      ENTRIES[at]=${PIECES[i]// /}
      at=$((at + 1))
    done
  done
  tree "${#ENTRIES[@]}"
  ((WHOLE)) || return 0
  for ((level = 0; size >> (8 * level) > 0; level++)); do
    for ((index = 0; index * 256 < size >> (8 * level); index++)); do
      width=$(((size >> (8 * level)) - index * 256))
      ((width > 256)) && width=256
      number $index $width
      wanted=
      for ((i = 0; i < width; i++)); do wanted+=${LEVEL[$((8 * level))/$((index * 256 + i))]}; done
      if [[ ! -f $folder/tile/$level/$NUMBER ]]; then
        finding TILE "$1/tile/$level/$NUMBER is missing"
        continue
      fi
      spaced "$folder/tile/$level/$NUMBER"
      [[ ${SPACED// /} == "$wanted" ]] || finding TILE "$1/tile/$level/$NUMBER: expected the hashes of the entries, found others"
    done
  done
  root_at "$size"
  escapes "$ROOT"
  found=$(printf "$ESC" | base64)
  [[ ${lines[2]:-} == "$found" ]] || finding HEAD "$1/head: expected the root $found, found ${lines[2]:-none}"
}
# One entry: its type into TYPE, its payload into V. The id is the hash of the whole entry.
payload() { # INDEX
  local entry=${ENTRIES[$1]} head
  head=${entry%%00$FLEET*}
  [[ $head == "$DOMAIN"* && $head != "$entry" ]] || return 1
  TYPE=${head#"$DOMAIN"}
  decode "${entry:${#head}+34}" && [[ ${V[d.v]:-} == 1 && ${V[d.t]:-} == "$TYPE" ]]
}

# --- the gate log ------------------------------------------------------------------------------
ascii gate.propose
PROPOSE=$ASCII
ascii gate.final
FINAL=$ASCII
FINAL_SIZE=6a
ascii close
CLOSE=$ASCII
ascii reconfig
RECONFIG=$ASCII
declare -A HEADS=() LAST_SEQ=() CERTIFIED=() EPOCH_AT=()
certificate() { # HEX GROUP EPOCH -> PROVES, the block that a quorum decided
  local i count=0 seen=' ' body voter
  if [[ -n ${CERTIFIED[$1]:-} ]]; then PROVES=${CERTIFIED[$1]}; return 0; fi
  # {body, kind, votes}: the body is what each vote was signed over, so its bytes are kept as they are.
  [[ $1 == a364626f6479* ]] || return 1
  V=() H=$1 P=12
  cbor d.body || return 1
  body=${H:12:P-12}
  decode "$1" || return 1
  [[ ${V[d.kind]} == 66696e616c && ${V[d.body.epoch]} == "$3" ]] || return 1
  text "${V[d.body.group]}"
  [[ $TEXT == "$2" ]] || return 1
  for ((i = 0; i < V[d.votes.#]; i++)); do
    voter=${V[d.votes.$i.voter]}
    [[ -n ${VOTER[$2/$3/$voter]:-} && $seen != *" $voter "* ]] || return 1
    put "$DOMAIN${FINAL}00${FLEET}a461615820${voter}6162${body}6174$FINAL_SIZE${FINAL}617601" "$WORK/message"
    put "${V[d.votes.$i.signature]}" "$WORK/signature"
    signed "$voter" "$WORK/message" "$WORK/signature" || return 1
    seen+="$voter " count=$((count + 1))
  done
  ((count >= QUORUM[$2/$3])) || return 1
  PROVES=${V[d.body.block]}
  CERTIFIED[$1]=$PROVES
}
# The next epoch begins: by the reconfig that the log has just held, or by a recovery from here.
enter() { # GROUP; changes epoch, parent, view and named of the caller
  local at=$1/$((epoch + 1))
  [[ -n ${GENESIS[$at]:-} ]] || return 1
  epoch=$((epoch + 1))
  if [[ -n ${RECOVER[$at]:-} ]]; then
    [[ ${RECOVER[$at]} == "$slot $parent" ]] || finding BLOCK_ORDER "gate/$1: the recovery of epoch $epoch goes on from another block"
    parent=${GENESIS[$at]}
  elif ((epoch == 1)); then parent=${GENESIS[$at]}
  elif [[ $named != "${DOCUMENT_AT[$at]}" ]]; then finding CONFIG "gate/$1: no reconfig before epoch $epoch names its configuration"; fi
  view=0 named=
}
# Empty blocks of voters lead from the end of an epoch to the one whose certificate committed it.
follow() { # GROUP EPOCH ID VIEW; clears the caller's promised
  local file=$PULL/gate/$1/tails/$2 i id=$3 view=$4 parts=() ENTRIES=()
  [[ -f $file ]] || return 0
  spaced "$file"
  pieces || return 1
  parts=("${PIECES[@]}")
  for ((i = 0; i + 1 < ${#parts[@]}; i += 2)); do
    ENTRIES=("${parts[i]// /}")
    payload 0 && [[ $TYPE == "$PROPOSE" && ${V[d.b.parent]} == "$id" && ${V[d.b.epoch]} == "$2" ]] || return 1
    ((V[d.b.view] > view && V[d.b.commands.#] + V[d.b.basis.#] == 0)) || return 1
    text "${V[d.b.group]}"
    [[ $TEXT == "$1" && -n ${VOTER[$1/$2/${V[d.a]}]:-} ]] || return 1
    put "${ENTRIES[0]}" "$WORK/message"
    put "${parts[i + 1]// /}" "$WORK/signature"
    signed "${V[d.a]}" "$WORK/message" "$WORK/signature" || return 1
    sha "$WORK/message"
    id=$SHA view=${V[d.b.view]}
    [[ $promised == "$id" ]] && promised=
  done
  return 0
}
gate() { # GROUP
  local group=$1 i j parent= view=0 epoch=0 slot=0 named= id ids=() commands basis at feed promised= promised_at=0
  DUE=0 SIZE=0 EPOCH_AT=()
  log "gate/$group" "nixfleet/$FLEET/g/$group" 1 || return
  SIZE=${#ENTRIES[@]}
  hashes entry "$SIZE"
  ids=("${HASHES[@]}")
  for ((i = 0; i < SIZE; i++)); do
    id=${ids[i]}
    BLOCKS=$((BLOCKS + 1))
    if ! payload $i || [[ $TYPE != "$PROPOSE" ]]; then finding BLOCK "gate/$group: block $i is malformed"; continue; fi
    at=$group/${V[d.b.epoch]}
    [[ -n ${QUORUM[$at]:-} && -n ${VOTER[$at/${V[d.a]}]:-} ]] || finding BLOCK "gate/$group: block $i is of an unknown epoch or of no voter"
    signed "${V[d.a]}" "$WORK/entry.$i" "$WORK/signature.$i" || finding BLOCK "gate/$group: the signature of block $i does not verify"
    while ((epoch < V[d.b.epoch])) && enter "$group"; do :; done
    [[ ${V[d.b.parent]} == "$parent" ]] || finding BLOCK_ORDER "gate/$group: block $i follows another block than the one before it"
    if ((V[d.b.epoch] < epoch || (V[d.b.epoch] == epoch && V[d.b.view] <= view))); then
      finding BLOCK_ORDER "gate/$group: block $i is of view ${V[d.b.view]}, after view $view"
    fi
    parent=$id view=${V[d.b.view]} epoch=${V[d.b.epoch]} EPOCH_AT[$((i + 1))]=$epoch
    commands=${V[d.b.commands.#]} basis=${V[d.b.basis.#]}
    ((commands == 0 && basis > 0)) && DUE=$((i + 1))
    ((commands + basis > 0)) && slot=$((slot + 1))
    named=
    for ((j = 0; j < commands; j++)); do
      [[ ${V[d.b.commands.$j.kind]} == "$CLOSE" ]] && DUE=$((i + 1))
      [[ ${V[d.b.commands.$j.kind]} == "$RECONFIG" ]] && named=${V[d.b.commands.$j.config]}
    done
    for ((j = 0; j < basis; j++)); do
      feed=${V[d.b.basis.$j.author]}/${V[d.b.basis.$j.session]}
      HEADS[$feed/${V[d.b.basis.$j.seq]}]=${V[d.b.basis.$j.head]} LAST_SEQ[$feed]=${V[d.b.basis.$j.seq]}
    done
    [[ $promised == "$id" ]] && promised=
    if certificate "${CERTS[i]// /}" "$group" "$epoch"; then
      [[ $PROVES != "$id" && -z $promised ]] && promised=$PROVES promised_at=$i
    else
      finding CERTIFICATE "gate/$group: block $i is not proven by a quorum of final votes"
    fi
    [[ -z $named ]] || follow "$group" "$epoch" "$id" "$view" || finding CERTIFICATE "gate/$group: the way from the end of epoch $epoch holds another block"
  done
  while enter "$group"; do :; done
  [[ -z $promised ]] || finding CERTIFICATE "gate/$group: the block that proves block $promised_at is missing"
  checkpoints "$group"
}
checkpoints() { # GROUP
  local group=$1 file size lines i line name rest key id time standing=0 first last e found
  local -A signed_at=() good=() counted=()
  for file in $(cd "$PULL/gate/$group/checkpoints" 2>/dev/null && ls | sort -n); do
    size=$file file=$PULL/gate/$group/checkpoints/$file
    mapfile -t lines <"$file"
    if [[ ! $size =~ ^[1-9][0-9]{0,9}$ || ${lines[0]:-} != "nixfleet/$FLEET/g/$group" || ${lines[1]:-} != "$size" || -n ${lines[3]:-} ]]; then
      finding CHECKPOINT "gate/$group/checkpoints/${file##*/}: expected $size leaves of this log"
      continue
    fi
    if ((size > SIZE)); then finding CHECKPOINT "gate/$group/checkpoints/$size: only $SIZE blocks are here"; continue; fi
    root_at "$size"
    escapes "$ROOT"
    found=$(printf "$ESC" | base64)
    [[ ${lines[2]} == "$found" ]] || { finding CHECKPOINT "gate/$group/checkpoints/$size: expected the root $found, found ${lines[2]}"; continue; }
    # Voters of a later epoch hold what those of the epoch of the last block have decided.
    first=${EPOCH_AT[$size]} last=${LAST_EPOCH[$group]} good=() counted=()
    for ((i = 4; i < ${#lines[@]}; i++)); do
      name=${lines[i]#* } rest=${lines[i]##* }
      name=${name%% *}
      key=
      for ((e = first; e <= last; e++)); do key=${COSIGNER[$group/$e/${name##*/}]:-$key}; done
      [[ -n $key && $name == "nixfleet/$FLEET/w/${name##*/}" ]] || continue
      printf '%s' "$rest" | base64 -d >"$WORK/line" 2>/dev/null
      spaced "$WORK/line"
      line=${SPACED// /}
      escapes "$key"
      printf '%s\n\x04' "$name" >"$WORK/id"
      printf "$ESC" >>"$WORK/id"
      sha "$WORK/id"
      id=${SHA:0:8} time=$((16#0${line:8:16}))
      printf 'cosignature/v1\ntime %s\n%s\n%s\n%s\n' "$time" "${lines[0]}" "$size" "${lines[2]}" >"$WORK/message"
      put "${line:24}" "$WORK/signature"
      if [[ ${#line} != 152 || ${line:0:8} != "$id" ]] || ! signed "$key" "$WORK/message" "$WORK/signature"; then
        finding COSIGNATURE "gate/$group/checkpoints/$size: the cosignature of ${name##*/} does not verify"
        continue
      fi
      ((${signed_at[$name]:-0} <= time)) || finding ROLLBACK "gate/$group/checkpoints/$size: ${name##*/} cosigned it after a larger one"
      signed_at[$name]=$time
      [[ -z ${counted[$name]:-} ]] || continue
      counted[$name]=1
      for ((e = first; e <= last; e++)); do
        [[ -n ${COSIGNER[$group/$e/${name##*/}]:-} ]] && good[$e]=$((${good[$e]:-0} + 1))
      done
    done
    for ((e = first; e <= last; e++)); do ((${good[$e]:-0} >= ${QUORUM[$group/$e]:-256})) && standing=$size; done
  done
  ((standing >= DUE)) || finding CHECKPOINT_BEHIND "gate/$group: expected a checkpoint of at least $DUE blocks with a quorum of cosignatures, found one of $standing: taken away, rolled back, or not cosigned yet"
  echo "gate/$group: $SIZE blocks, newest checkpoint that stands: $standing"
}

# --- feeds -------------------------------------------------------------------------------------
feed() { # AUTHOR SESSION
  local author=$1 session=$2 name=feeds/$1/$2 whose i next=0 prev ids fact at
  printf -v prev '%064d' 0
  whose=${KNOWN[$author]:-}
  [[ -n $whose ]] || finding AUTHOR "$name: no document names this key"
  whose="${whose:-${author:0:16}} (session ${session:0:8})"
  log "$name" "nixfleet/$FLEET/h/$author/$session" 0
  hashes entry "${#ENTRIES[@]}"
  ids=("${HASHES[@]}")
  for ((i = 0; i < ${#ENTRIES[@]}; i++)); do
    if ! payload $i || ! signed "$author" "$WORK/entry.$i" "$WORK/signature.$i"; then
      finding FACT "$name: fact $i of $whose is malformed or its signature does not verify"
      next=$((next + 1)) prev=
      continue
    fi
    FACTS=$((FACTS + 1)) fact=${V[d.s]}
    [[ ${V[d.a]} == "$author" && ${V[d.n]} == "$session" ]] || finding FACT "$name: entry $i belongs to another feed"
    if ((fact > next)); then finding FACT_MISSING "$name: facts $next to $((fact - 1)) of $whose are missing"
    elif ((fact < next)); then finding FACT_ORDER "$name: expected fact $next of $whose, found fact $fact in its place"
    elif [[ -n $prev && ${V[d.p]} != "$prev" ]]; then finding FACT_ORDER "$name: fact $fact of $whose names another fact before it"; fi
    at=$author/$session/$fact
    [[ -z ${HEADS[$at]:-} || ${HEADS[$at]} == "${ids[i]}" ]] || finding BASIS "$name: fact $fact of $whose is not the one that the gate log stands on"
    ((fact + 1 > next)) && next=$((fact + 1))
    prev=${ids[i]}
  done
  ((${LAST_SEQ[$author/$session]:--1} < next)) || finding FACT_MISSING "$name: facts $next to ${LAST_SEQ[$author/$session]} of $whose are missing: the gate log stands on them"
}

# --- all of it ---------------------------------------------------------------------------------
if documents; then
  for group in "${!GROUPS_SEEN[@]}"; do gate "$group"; done
  declare -A FEEDS=()
  for folder in "$PULL"/feeds/*/*/; do
    [[ $folder =~ /([0-9a-f]{64})/([0-9a-f]{32})/$ ]] && FEEDS[${BASH_REMATCH[1]}/${BASH_REMATCH[2]}]=1
  done
  for key in "${!LAST_SEQ[@]}"; do FEEDS[$key]=1; done
  for key in "${!FEEDS[@]}"; do feed "${key%/*}" "${key#*/}"; done
  echo "verified $FACTS facts in ${#FEEDS[@]} feeds and $BLOCKS blocks"
fi
if ((FINDINGS > 0)); then
  echo "NOT CLEAN: $FINDINGS findings"
  exit 4
fi
echo "clean, if $ROOT_HASH is your fleet's root hash"
