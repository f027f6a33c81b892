#!/bin/sh
# tidegate pre-receive check, written by `tidegate gogs install-hook`: asks the gate whether a push may be taken.
# Gogs runs it for pushes over HTTP and SSH and for its web editor. Merges, deletions and releases in its pages skip it.
url=@URL@
forge=@FORGE@
secret_file=@SECRET_FILE@
away=@AWAY@
seconds=@SECONDS@
inspect=@INSPECT@

set -u
umask 077
export LC_ALL=C GIT_NO_REPLACE_OBJECTS=1 # refs/replace may be pushed, to show other commits than are pushed
say() { printf 'tidegate: %s\n' "$1" >&2; }
refuse() { say "$1"; exit 1; }
unanswered() {
  [ "$away" = open ] || refuse "$1; the push is refused, since this check is set to fail closed"
  say "WARNING: $1. THE PUSH IS TAKEN UNCHECKED, since this check is set to fail open."
  exit 0
}
facts() { # NAME N COMMAND...: keep the lines that it prints, each once, under another name where they may not be all
  name=$1 number=$2 most=$((250000 / count)); shift 2; rm -f "$dir/short"
  { $limit "$@" 2>/dev/null || : >"$dir/short"; } | head -c "$most" >"$dir/raw"
  [ ! -f "$dir/short" ] && [ "$(wc -c <"$dir/raw")" -lt "$most" ] || name=${name}_part
  # The empty line is there since curl drops the name of an empty file.
  { cat "$dir/raw"; echo; } | sort -u >"$dir/part" && mv "$dir/part" "$dir/$name.$number"
}
text() { # N RANGE: keep the new commits whole for content inspection, under another name where something is cut off
  most=$((2000000 / count)) name=log
  { $limit git @GIT_LOG@ "$2" -- 2>/dev/null || : >"$dir/cut.$1"; } | head -c "$most" >"$dir/part"
  [ ! -f "$dir/cut.$1" ] && [ "$(wc -c <"$dir/part")" -lt "$most" ] || name=log_part
  mv "$dir/part" "$dir/$name.$1"
}
collect() { # says of each ref what git knows; what is not there when the time is over counts as unknown
  n=0
  while read -r old new ref; do
    n=$((n + 1)) forced=unknown commit=- range=$old..$new
    case $new in *[!0]*) ;; *) continue ;; esac
    case $old in *[!0]*) ;; *) git rev-parse -q --verify HEAD >"$dir/head" && range=HEAD..$new || range=$new ;; esac
    case $ref in refs/tags/*) commit=$($limit git rev-parse -q --verify "$new^{commit}") || commit=- ;; esac
    if [ "$range" = "$old..$new" ]; then
      $limit git merge-base --is-ancestor "$old" "$new"
      case $? in 0) forced=no ;; 1) forced=yes ;; esac
    fi
    echo "$forced $commit" >"$dir/part" && mv "$dir/part" "$dir/ref.$n"
    facts emails "$n" git -c log.showSignature=false log --no-notes --encoding=UTF-8 '--format=<%ae>%n<%ce>' "$range" --
    facts paths "$n" git -c core.quotePath=true log --format= --name-only --no-renames --no-relative \
      --diff-merges=first-parent --ignore-submodules=none "$range" --
    [ "$inspect" = no ] || text "$n" "$range"
  done
}

secret=
{ IFS= read -r secret <"$secret_file"; } 2>/dev/null
case $secret in '' | *[!A-Za-z0-9._~+/=-]*) refuse "the check's secret cannot be read; tell who looks after this forge" ;; esac
for number in "${GOGS_AUTH_USER_ID-}" "${GOGS_REPO_ID-}"; do
  case $number in '' | *[!0-9]*) unanswered "Gogs has not said who pushes to which repository" ;; esac
done
command -v curl >/dev/null || refuse "curl is missing; tell who looks after this forge"
dir=$(mktemp -d) || refuse "there is no room for the check; tell who looks after this forge"
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
{ head -n 101; cat >/dev/null; } >"$dir/refs" # of more than 100 nothing is decided but that they are too many
count=$(wc -l <"$dir/refs") half=$(((seconds + 1) / 2)) limit=
[ "$count" -gt 0 ] || exit 0
command -v timeout >/dev/null && limit="timeout $half"
collect <"$dir/refs" >/dev/null 2>&1 &
work=$!
{ sleep "$half"; kill "$work"; } </dev/null >/dev/null 2>&1 &
watch=$!
{ wait "$work"; kill "$watch"; } 2>/dev/null

cd "$dir" || exit 1
set -- --data-urlencode "forge=$forge" --data-urlencode "repository_id=$GOGS_REPO_ID" --data-urlencode updates@updates \
  --data-urlencode "repository_owner=${GOGS_REPO_OWNER_NAME-}" --data-urlencode "repository_name=${GOGS_REPO_NAME-}" \
  --data-urlencode "account_id=$GOGS_AUTH_USER_ID" --data-urlencode "account_login=${GOGS_AUTH_USER_NAME-}"
n=0
while read -r old new ref; do
  n=$((n + 1)) known='unknown -'
  [ ! -f "ref.$n" ] || read -r known <"ref.$n"
  printf '%s %s %s %s\n' "$old" "$new" "$known" "$ref" >>updates
  for name in emails emails_part paths paths_part log log_part; do
    [ ! -f "$name.$n" ] || set -- "$@" --data-urlencode "$name.$n@$name.$n"
  done
done <refs
code=$(printf 'header = "Authorization: Bearer %s"\n' "$secret" | curl -q -K - -sS -g --noproxy '*' --max-time $((seconds - half)) \
  -H 'Accept: text/plain' -H 'Expect:' -o answer -w '%{http_code}' "$@" --url "$url/api/v1/decide" 2>/dev/null) || code=000
first=
[ "$code" != 200 ] || IFS= read -r first <answer
case "$code $first" in
'200 ok') exit 0 ;;
'200 denied') sed -n '2,200s/^/tidegate: /p' answer >&2 ;;
000* | 5*) unanswered "the gate does not answer (${code#000})" ;;
*) refuse "the gate does not take this check's question (HTTP $code); tell who looks after this forge" ;;
esac
exit 1
