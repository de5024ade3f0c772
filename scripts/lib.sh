# What the scripts share: where the project is, how a step is announced, and which Bun runs it.
# Sourced by the scripts beside it; sets ROOT and BUN_VERSION, changes into ROOT.
set -euo pipefail

# Asked with --help, a script prints the comment at its head, and that is all.
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"
  exit 0
fi

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"

# One pinned version, in the field of package.json that names the package manager: "bun@1.4.5".
BUN_VERSION="$(sed -n 's/.*"packageManager": *"bun@\([^"]*\)".*/\1/p' package.json)"
# A Bun of that version made by scripts/setup when the machine has none.
BUN_LOCAL="$ROOT/.tools/node_modules/.bin/bun"

step() { printf '==> %s\n' "$*" >&2; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Prints the path of a Bun of the pinned version; fails when there is none.
find_bun() {
  local candidate
  for candidate in "$BUN_LOCAL" "$(command -v bun || true)"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ] && [ "$("$candidate" --version 2>/dev/null)" = "$BUN_VERSION" ]; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

# Puts the pinned Bun and the project's own tools first in PATH, for this script and its children.
use_tools() {
  local bun
  bun="$(find_bun)" || fail "Find Bun $BUN_VERSION: it is not installed; run scripts/setup"
  PATH="$(dirname "$bun"):$ROOT/node_modules/.bin:$PATH"
  export PATH
}
