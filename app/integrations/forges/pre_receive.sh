#!/bin/sh
# tidegate pre-receive check, written by `tidegate gogs install-hook`: asks the gate whether a push may be taken.
# Gogs runs it for pushes over HTTP and SSH and for its web editor. Merges, deletions and releases in its pages skip it.
#
# Silence is never consent: `exit 0` follows only the gate's word about as many refs as git named here (or, if that was
# chosen, the gate's absence). What is listed ends with the line `=end`, printed after everything else has succeeded. So a
# list that was cut off, by whatever fault, tells it to the gate.
version=2
url=@URL@
forge=@FORGE@
secret_file=@SECRET_FILE@
away=@AWAY@
seconds=@SECONDS@
inspect=@INSPECT@

set -u
umask 077
export LC_ALL=C GIT_NO_REPLACE_OBJECTS=1 # refs/replace may be pushed, to show other commits than are pushed
nl='
'
say() { printf 'tidegate: %s\n' "$1" >&2; }
refuse() { say "$1"; exit 1; }
unanswered() {
  [ "$away" = open ] || refuse "$1; the push is refused, since this check is set to fail closed"
  say "WARNING: $1. THE PUSH IS TAKEN UNCHECKED, since this check is set to fail open."
  exit 0
}
ask() { # PATH SECONDS FIELD...: print the gate's answer, and below it the HTTP status and curl's own
  path=$1 most=$2; shift 2
  printf 'header = "Authorization: Bearer %s"\n' "$secret" | curl -q -K - -sS -g --noproxy '*' --max-time "$most" \
    -H 'Accept: text/plain' -H 'Expect:' -w '\n%{http_code}' --data-urlencode "check=$version" --data-urlencode "forge=$forge" \
    --data-urlencode "repository_id=$GOGS_REPO_ID" --data-urlencode "repository_owner=${GOGS_REPO_OWNER_NAME-}" \
    --data-urlencode "repository_name=${GOGS_REPO_NAME-}" --data-urlencode "account_id=$GOGS_AUTH_USER_ID" \
    --data-urlencode "account_login=${GOGS_AUTH_USER_NAME-}" "$@" --url "$url$path" 2>/dev/null
  printf ' %s' "$?"
}
is_zero() { case $1 in *[!0]*) return 1 ;; esac; }
whole() { "$@" 2>/dev/null && echo =end; } # COMMAND...: print what it prints, and `=end` if it has succeeded
in_time() { $limit "$@"; }
commits() { # NEW OLD, or NEW --ignore-missing --stdin with what stood when this check was installed
  [ "$2" = --ignore-missing ] || set -- "$1" "^$2"
  in_time git -c log.showSignature=false log --topo-order --reverse --no-notes --encoding=UTF-8 --format='%H %P%n<%ae>%n(%ce)' "$@" --
}
# Reads the commits that the gate vouches for, then the output of `commits`. Writes commits and e-mails to the file `out`, and
# what is to be compared with what to stdout, newest first. A merge is compared with its parents on the way from the ref's old
# commit, so the steps on each way add up to the difference of the trees. Without such parents, it is compared with those that
# are not new; else with its first. If no way leads from old to new, the trees are compared, too.
steps='
part == "known" { if (/^[0-9a-f]+$/) known[$1]; next }
/^=end$/ { whole = 1; next }
/^[<(]/ { if (counts && !($0 in seen)) { seen[$0]; keep($0) } next }
{ counts = !($1 in known); if (!counts) next }
{
  keep($0); fresh[$1]; on = held = ""
  for (i = 2; i <= NF; i++) {
    if ($i == old || ($i in way)) on = on " " $i
    if (!($i in fresh)) held = held " " $i
  }
  if (on != "") way[$1]
  step[++n] = $1 (on != "" ? on : held != "" ? held : NF > 1 ? " " $2 : "")
}
function keep(line) { size += length(line) + 1; if (size <= most) print line >out }
END {
  if (!whole || size > most) exit
  print "=end" >out
  if (old != "" && old != new && !(new in way)) print new " " old
  while (n) print step[n--]
  print "=end"
}'
differences() { # OUT COMMAND...: print what the steps changed; what no command of git can read, it passes on, so also `=end`
  out=$1; shift
  in_time "$@" <"$dir/steps" 2>/dev/null | head -c "$out"
}
collect() { # list what git knows of each ref; what is not there when the time is over counts as unknown
  n=0
  while read -r old new commit ref; do
    n=$((n + 1))
    ! is_zero "$new" && [ "$commit" != - ] || continue
    case $ref in refs/heads/*) ;; *) is_zero "$old" || old=$(in_time git rev-parse -q --verify "$old^{commit}") || continue ;; esac
    ! is_zero "$old" || old=
    if [ -n "$old" ]; then whole commits "$commit" "$old"; else whole commits "$commit" --ignore-missing --stdin <"$tips"; fi |
      head -c 2000000 >"$dir/listed.$n"
    echo "$n $commit $old" >>"$dir/refs"
  done <"$dir/updates"
  : >"$dir/known"
  [ -z "$created" ] || vouched
  while read -r n new old; do
    known=/dev/null # for a ref that was there, all counts as new that it did not hold
    [ -n "$old" ] || known=$dir/known
    awk -v old="$old" -v new="$new" -v most=$((500000 / count)) -v out="$dir/commits.$n" "$steps" \
      part=known "$known" part=listed "$dir/listed.$n" >"$dir/steps"
    differences $((400000 / count)) git -c core.quotePath=true diff-tree --stdin --no-commit-id -r -m --root --name-status \
      --no-renames --no-relative --ignore-submodules=none >"$dir/paths.$n"
    [ "$inspect" = no ] || differences $((1600000 / count)) git @GIT_DIFF@ >"$dir/log.$n"
  done <"$dir/refs"
}
vouched() { # ask which commits of new refs have passed the check or were released; without an answer, all of them are new
  for n in $created; do cat "$dir/listed.$n"; done | awk '/^[0-9a-f]/ && !($1 in seen) { seen[$1]; print; n++ } END { exit !n }' \
    >"$dir/asked" || return 0
  answer=$(ask /api/v1/decide/known "$half" --data-urlencode commits@"$dir/asked")
  case $answer in "known$nl"*"$nl=end${nl}200 0") printf '%s\n' "$answer" >"$dir/known" ;; esac
}

for number in "${GOGS_AUTH_USER_ID-}" "${GOGS_REPO_ID-}"; do
  case $number in '' | *[!0-9]*) refuse "Gogs has not said who pushes to which repository; tell who looks after this forge" ;; esac
done
secret=''
{ IFS= read -r secret <"$secret_file"; } 2>/dev/null
case $secret in '' | *[!A-Za-z0-9._~+/=-]*) refuse "the check's secret cannot be read; tell who looks after this forge" ;; esac
for tool in awk curl git head mktemp sed; do
  command -v "$tool" >/dev/null || refuse "$tool is missing; tell who looks after this forge"
done
dir=$(mktemp -d 2>/dev/null) && [ -d "$dir" ] || refuse "there is no room for the check in ${TMPDIR:-/tmp}; tell who looks after this forge"
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
if [ "${1-}" = --prove ]; then # tidegate gogs install-hook, before it installs this
  ask /api/v1/decide/known "$seconds" --data-urlencode commits=
  exit 0
fi
half=$(((seconds + 1) / 2)) limit=''
timeout "$half" true 2>/dev/null && limit="timeout $half"
tips=${0%/*}/tidegate.tips
[ -r "$tips" ] || tips=/dev/null

count=0 updates='' lines='' created=''
while read -r old new ref; do
  [ -n "$ref" ] || refuse "git has named a ref in a way that this check does not know; tell who looks after this forge"
  count=$((count + 1)) commit=-
  [ "$count" -le 101 ] || continue # of more than 100 nothing is decided but that they are too many
  if ! is_zero "$new"; then
    ! is_zero "$old" || created="$created $count"
    case "$old $ref" in
    *[!0]*' refs/heads/'*) commit=$new ;;
    *) commit=$(in_time git rev-parse -q --verify "$new^{commit}" 2>/dev/null) || commit=- ;;
    esac
  fi
  updates="$updates$old $new $commit $ref$nl" lines="$lines$old $new unknown $commit $ref$nl"
done
[ -z "${old-}${ref-}" ] || refuse "git's list of refs ends early; tell who looks after this forge"
[ "$count" -gt 0 ] || refuse "git has named no ref; tell who looks after this forge"
[ "$count" -le 101 ] || count=101

room() {
  { printf '%s' "$updates" >"$dir/updates"; } 2>/dev/null ||
    refuse "there is no room for the check in ${TMPDIR:-/tmp}; tell who looks after this forge"
}
room
collect >/dev/null 2>&1 &
work=$!
{
  sleep "$half" &
  nap=$!
  trap 'kill "$nap"' TERM
  wait "$nap" && kill "$work"
} </dev/null >/dev/null 2>&1 &
watch=$!
{ wait "$work"; kill "$watch"; wait "$watch"; } 2>/dev/null
room # again: lists that were cut off for lack of room would only be told as unknown

set -- --data-urlencode "updates=$lines"
n=0
while [ "$n" -lt "$count" ]; do
  n=$((n + 1))
  for name in commits paths log; do
    [ ! -s "$dir/$name.$n" ] || set -- "$@" --data-urlencode "$name.$n@$dir/$name.$n"
  done
done
answer=$(ask /api/v1/decide $((seconds - half)) "$@")
status=${answer##*"$nl"} body=${answer%"$nl"*}
case $status in
'200 0')
  case $body in
  "ok $count" | "ok $count$nl") exit 0 ;;
  "denied$nl"*) printf '%s\n' "$body" | sed -n '2,200s/^/tidegate: /p' >&2 ;;
  *) refuse "the gate has not decided about all $count refs; tell who looks after this forge" ;;
  esac
  ;;
5[0-9][0-9]\ *) unanswered "the gate cannot answer (HTTP ${status% *})" ;;
*\ [567] | *\ 16 | *\ 18 | *\ 28 | *\ 35 | *\ 52 | *\ 55 | *\ 56 | *\ 92) unanswered "the gate does not answer (curl says ${status#* })" ;;
*\ 0) refuse "the gate does not take this check's question (HTTP ${status% *}); tell who looks after this forge" ;;
*) refuse "the gate cannot be asked (curl says ${status#* }); tell who looks after this forge" ;;
esac
exit 1
