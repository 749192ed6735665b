# Bytes, hashes, signatures and CBOR of verify.sh, which holds this file in its place when it is put into
# a pull.

# --- bytes -------------------------------------------------------------------------------------
# HEX: a file's bytes, each as a blank and two digits, so that a slice becomes printf escapes at once.
spaced() { SPACED=$(od -An -v -tx1 "$1" | tr -d '\n'); }
# ESC: hex digits as printf escapes.
escapes() {
  local i
  ESC=
  for ((i = 0; i < ${#1}; i += 2)); do ESC+="\\x${1:i:2}"; done
}
put() { # HEX FILE
  escapes "$1"
  printf "$ESC" >"$2"
}
ascii() { # TEXT -> ASCII, its hex
  local i
  ASCII=
  for ((i = 0; i < ${#1}; i++)); do
    printf -v ASCII '%s%02x' "$ASCII" "'${1:i:1}"
  done
}
text() { # HEX -> TEXT
  escapes "$1"
  printf -v TEXT "$ESC"
}
sha() { # FILE -> SHA
  SHA=$(sha256sum "$1")
  SHA=${SHA:0:64}
}

# --- Ed25519 -----------------------------------------------------------------------------------
signed() { # KEY MESSAGE-FILE SIGNATURE-FILE
  local pem=$WORK/key.$1
  if [[ ! -f $pem ]]; then
    escapes "302a300506032b6570032100$1"
    { echo '-----BEGIN PUBLIC KEY-----'; printf "$ESC" | base64; echo '-----END PUBLIC KEY-----'; } >"$pem"
  fi
  openssl pkeyutl -verify -pubin -inkey "$pem" -rawin -in "$2" -sigfile "$3" >/dev/null 2>&1
}

# --- CBOR --------------------------------------------------------------------------------------
# Reads H (hex) from P on into V: numbers as decimals, bytes and texts as hex, lists as V[path.#].
declare -A V=() NAMES=()
cbor() { # PATH
  local at=$P first size i key
  first=$((16#${H:P:2})) P=$((P + 2))
  size=$((first & 31))
  case $size in
    24) size=$((16#${H:P:2})) P=$((P + 2)) ;;
    25) size=$((16#${H:P:4})) P=$((P + 4)) ;;
    26) size=$((16#${H:P:8})) P=$((P + 8)) ;;
    27) size=$((16#${H:P:16})) P=$((P + 16)) ;;
    28 | 29 | 30 | 31) return 1 ;;
  esac
  case $((first >> 5)) in
    0) V[$1]=$size ;;
    2 | 3)
      V[$1]=${H:P:2*size} P=$((P + 2 * size))
      ((P <= ${#H})) || return 1
      ;;
    4)
      V[$1.#]=$size
      for ((i = 0; i < size; i++)); do cbor "$1.$i" || return 1; done
      ;;
    5)
      for ((i = 0; i < size; i++)); do
        first=$((16#${H:P:2} - 0x60)) P=$((P + 2))
        ((first >= 0 && first < 24)) || return 1
        key=${H:P:2*first} P=$((P + 2 * first))
        if [[ -z ${NAMES[$key]:-} ]]; then text "$key"; NAMES[$key]=$TEXT; fi
        cbor "$1.${NAMES[$key]}" || return 1
      done
      ;;
    7) V[$1]=$((size == 21)) ;;
    *) return 1 ;;
  esac
  RAW_END=$P RAW_START=$at
}
decode() { # HEX
  V=() H=$1 P=0
  [[ -n $H ]] && cbor d 2>/dev/null && ((P == ${#H}))
}
