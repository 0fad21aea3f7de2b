# What the parts of `make bench` measured, an object for each run, made one for each
# figure: the mean of its last two runs, or of rounds that took turns their median and spread.
# $date, $kernel: of this run.

def key: [.bench, .engine, .device, .rw, .bs, .qd, .vqs, .devices, .metric];

def median: sort | (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2;

def rounded: if . >= 1000 then (. * 10 | round) / 10 else (. * 10000 | round) / 10000 end;

# Rounds of one and of two vqs, as they followed each other: [{run, vqs, value}].
def ratios: group_by(.run) | map(
	(map(select(.vqs == 1)) | first.value) as $one |
	(map(select(.vqs == 2)) | first.value) as $two |
	select($one and $two) | $two / $one);

def scaling: group_by(.engine) | map(
	(.[0] | del(.run) | .vqs = 2) as $first | ratios |
	select(length > 0) |
	($first + {metric: "two_vqs_to_one", value: median}),
	($first + {metric: "two_vqs_to_one_least", value: min}),
	($first + {metric: "two_vqs_to_one_most", value: max}));

def means: group_by(key) |
	map((.[0] | del(.run)) + {value: (sort_by(.run) | .[-2:] | map(.value) | add / length)});

map(select(.bench != "scaling")) as $counted |
map(select(.bench == "scaling")) as $timed |
($counted | means) + ($timed | scaling) |
	map(del(.within) + {value: (.value | rounded), $date, $kernel})
