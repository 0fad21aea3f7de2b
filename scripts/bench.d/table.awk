# A table of lines ROW \t COLUMN \t VALUE \t LAST, with a second line for the last run
# where one of a row's figures has moved by more than half a percent, and visibly.
# From the command line: title, and columns, "NAME=HEADING ...".

function number(n) { return n == "" ? "-" : sprintf(n < 100 ? "%.2f" : "%.0f", n) }

function moved(row, c,	a, b, apart)
{
	a = now[row, c]
	b = last[row, c]
	apart = a > b ? a - b : b - a
	return a != "" && b != "" && apart > b * 0.005 && apart > 0.015
}

function print_row(row,	c, text)
{
	text = sprintf("%-31s", row)
	for (c = 1; c <= n; c++)
		text = text sprintf(" %*s", width[c], number(now[row, c]))
	print text
}

function print_last(row,	c, text, any)
{
	text = sprintf("%31s", "last run")
	for (c = 1; c <= n; c++) {
		any += moved(row, c)
		text = text sprintf(" %*s", width[c], moved(row, c) ? number(last[row, c]) : "")
	}
	sub(/ +$/, "", text)
	if (any)
		print text
}

function print_head(	c, text)
{
	text = sprintf("\n%-31s", title)
	for (c = 1; c <= n; c++)
		text = text sprintf(" %*s", width[c], heading[c])
	print text
}

BEGIN {
	FS = "\t"
	n = split(columns, column, " ")
	for (c = 1; c <= n; c++) {
		split(column[c], part, "=")
		place[part[1]] = c
		heading[c] = part[2]
		width[c] = length(part[2]) > 6 ? length(part[2]) : 6
	}
}

$2 in place {
	if (!($1 in seen)) {
		seen[$1] = 1
		order[++rows] = $1
	}
	now[$1, place[$2]] = $3
	last[$1, place[$2]] = $4
}

END {
	if (rows)
		print_head()
	for (r = 1; r <= rows; r++) {
		print_row(order[r])
		print_last(order[r])
	}
}
