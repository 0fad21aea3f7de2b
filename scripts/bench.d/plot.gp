# From the command line: data, whose blocks are lines "X VALUE" under the name of an
# engine; blocks, how many; out; x, what X is.
set terminal svg size 900,450 background "white"
set output out
set logscale x 2
set yrange [0:*]
set grid
set key outside right top noenhanced
set xlabel x
set ylabel "instructions per I/O"
set title "4k randread on null_blk, instructions of the whole machine" noenhanced
plot for [i = 0:blocks - 1] data index i using 1:2 with linespoints linewidth 2 title columnheader(1) noenhanced
