# shellcheck shell=bash
# The catalogue: what a mutant says of itself, and what its result depends on.

catalogue=$top/tests/mutants
# What is built and known.
state=$build/mutate

catalogue_names()
{
	find "$catalogue" -maxdepth 1 -name '*.patch' -printf '%f\n' | sed 's/\.patch$//' | sort
}

catalogue_check_names()
{
	local name

	[ $# -gt 0 ] || { say "mutate: there is no mutant"; exit 2; }
	for name in "$@"; do
		[ -e "$catalogue/$name.patch" ] || { say "mutate: there is no mutant '$name'"; exit 2; }
	done
}

# header NAME FIELD: its value, in one line; nothing: it has none.
header()
{
	sed -n '/^--- /q; p' "$catalogue/$1.patch" |
		awk -v field="$2: " 'index($0, field) == 1 { on = 1; printf "%s", substr($0, length(field) + 1); next }
			on && /^  / { sub(/^ +/, " "); printf "%s", $0; next }
			{ on = 0 }'
}

is_of_qemu()
{
	[ "$(header "$1" Source)" = qemu ]
}

# Is it one that only the debug kernel finds?
is_for_debug()
{
	[ "$(header "$1" Kernel)" = debug ]
}

is_equivalent()
{
	[ -n "$(header "$1" Equivalent)" ]
}

# N names that the text chooses: in the order of a hash of both.
catalogue_pick()
{
	local name

	catalogue_names | while read -r name; do
		is_equivalent "$name" || echo "$(sha256sum <<<"$2 $name") $name"
	done | sort | awk -v n="$1" 'NR <= n { print $NF }'
}

# The checkout's files, also those that are not committed, into the array files.
checkout_files()
{
	local file

	files=()
	while IFS= read -r -d '' file; do
		[ ! -f "$top/$file" ] || files+=("$file")
	done < <(cd "$top" && git ls-files -z -co --exclude-standard | sort -z)
}

# What a result of NAME depends on, as an ERE on the names of files: the code, and the
# tests that it names with what they are made of; of QEMU only what is of QEMU.
depends_on()
{
	local selector group file ere='drivers/.*|include/.*|Kbuild|tests/lib/.*'

	! is_of_qemu "$1" || ere+='|qemu-patches/.*\.patch'
	for selector in $(header "$1" Tests); do
		IFS=/ read -r group file _ <<<"$selector"
		ere+="|tests/$group/(testbed|${file:-.*}(\.c)?)"
	done
	echo "^($ere)$"
}

# state_key NAME [FILE]...: of all that its result depends on, and of these.
state_key()
{
	local name=$1

	shift
	(
		cd "$top"
		header "$name" Tests
		printf '%s\n' "${files[@]}" | grep -E "$(depends_on "$name")" | xargs sha256sum "$@"
	) | sha256sum | cut -c1-16
}

# Is all there that a mutant must say?
catalogue_verify_header()
{
	local field status=0

	for field in Class Bug Tests; do
		[ -n "$(header "$1" $field)" ] || { say "mutate: $1: no '$field:'"; status=1; }
	done
	grep -q '^--- a/' "$catalogue/$1.patch" || { say "mutate: $1: no diff"; status=1; }
	return $status
}

catalogue_verify()
{
	local name status=0

	for name in "$@"; do
		catalogue_verify_header "$name" || status=2
		is_of_qemu "$name" ||
			patch -d "$top" -p1 --fuzz=0 --forward --dry-run -s <"$catalogue/$name.patch" >&2 ||
			{ say "mutate: $name: does not apply"; status=2; }
	done
	return $status
}
