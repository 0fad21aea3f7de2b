#!/bin/bash
# What becomes of the results of a run of tests/peer.
#
#	table.sh fill build/out/peer <LIST	the table anew, from these results, with the
#						reasons that it has; LIST is the output of
#						iscsi-test-cu -l
#	table.sh totals				of each backend, from the table
#	table.sh reasons build/out/peer		where ours and the kernel's say other things
set -eu -o pipefail

table=$(dirname "$0")/expected.tsv

fill()
{
	local results

	mapfile -t results < <(find "$1" -mindepth 2 -type f ! -name '*.*' ! -name key)
	awk -F'\t' '
		FILENAME == ARGV[1] {
			reason[$1, $2] = $6
			if ($3 == "OOPS")
				got[$1, "intree", $2] = "OOPS"
			next
		}
		FILENAME != "/dev/stdin" {
			count = split(FILENAME, path, "/")
			split(path[count - 1], way, ".")
			got[way[1], way[2], $1] = $2
			next
		}
		sub(/^ALL\./, "") && /\./ { tests[++n] = $1 }
		function result(backend, way, test)
		{
			return (backend, way, test) in got ? got[backend, way, test] : "-"
		}
		END {
			print "backend\ttest\tin-tree\tshort\tlong\treason"
			split("iblock fileio pi", backends, " ")
			for (b = 1; b <= 3; b++)
				for (i = 1; i <= n; i++) {
					id = backends[b] SUBSEP tests[i]
					print backends[b] "\t" tests[i] "\t" \
						result(backends[b], "intree", tests[i]) "\t" \
						result(backends[b], "short", tests[i]) "\t" \
						result(backends[b], "long", tests[i]) "\t" \
						(reason[id] ? reason[id] : "-")
				}
		}' "$table" "${results[@]}" /dev/stdin
}

totals()
{
	awk -F'\t' '
		NR == 1 { split($0, name, "\t"); next }
		!seen[$1]++ { backends[++n] = $1 }
		{ for (c = 3; c <= 5; c++) count[$1, c, $c]++ }
		END {
			for (b = 1; b <= n; b++)
				for (c = 3; c <= 5; c++) {
					id = backends[b] SUBSEP c SUBSEP
					if (count[id "PASS"])
						printf "%s %s: %d passed, %d failed, %d skipped, %d not run\n",
							backends[b], name[c], count[id "PASS"], count[id "FAIL"],
							count[id "SKIP"], count[id "OOPS"] + count[id "-"]
				}
		}' "$table"
}

# found FOLDER: all results in it.
found()
{
	find "$1" -type f ! -name '*.*' ! -name key -exec sort {} +
}

reasons()
{
	local backend way

	for backend in iblock fileio pi; do
		for way in short long; do
			[ -d "$1/$backend.$way" ] || continue
			echo "$backend $way:"
			diff <(found "$1/$backend.intree") <(found "$1/$backend.$way") || :
		done
	done
}

"${1?}" "${@:2}"
