# Of the runs of the parts of `make bench`, a sentence for each figure whose last two runs are
# further apart than they may be, or than two instructions.

group_by([.bench, .engine, .device, .rw, .bs, .qd, .vqs, .devices, .metric])[] |
select(.[0].metric == "instructions_per_io") |
.[0] as $of | sort_by(.run) | .[-2:] | map(.value) | (max - min) as $apart |
select($apart > 2 and $apart > min * $of.within) |
"bench: two runs disagree: \($of.bench), \($of.engine) on \($of.device), \($of.rw) \($of.bs), " +
"QD \($of.qd), \($of.vqs) vqs, \($of.devices) devices: \(map(tostring) | join(" and ")) " +
"instructions per I/O, \(1000 * $apart / min | round / 10) % apart"
