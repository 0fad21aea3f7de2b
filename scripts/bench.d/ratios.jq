# Of a run's figures, what vhost_blk costs to each peer: lines FILE, peer, QD, ratio.

map(select(.metric == "instructions_per_io" and .rw == "randread" and .bs == 4096 and
	.device == "null_blk" and .devices == 1 and
	((.bench == "path" and .vqs == 1) or .bench == "nested"))) |
group_by([.bench, .qd])[] |
(map(select(.engine == "vhost_blk" or .engine == "l2_vhost_blk")) | first.value) as $ours |
select($ours and (.[0].qd == 1 or .[0].qd == 32))[] |
select(.engine | . != "client" and (endswith("vhost_blk") | not)) |
[$file, .engine, "QD\(.qd)", $ours / .value] | @tsv
