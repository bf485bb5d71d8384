# The last epoch of every network: mean, lowest and highest over the seeds. Input: network,epoch,seed,training_error,test_error
BEGIN { FS = "," }
function add(k, what, error,    i) {
    i = k SUBSEP what
    if (!n[i]++ || error < low[i])
        low[i] = error
    if (n[i] == 1 || error > high[i])
        high[i] = error
    sum[i] += error
}
function text(k, what,    i) {
    i = k SUBSEP what
    return n[i] ? sprintf("%5.2f %%  (%.2f to %.2f)", sum[i] / n[i], low[i], high[i]) : "-"
}
$2 > last[$1] {
    last[$1] = $2
    n[$1 SUBSEP "training"] = n[$1 SUBSEP "test"] = sum[$1 SUBSEP "training"] = sum[$1 SUBSEP "test"] = 0
}
{
    add($1, "training", $4)
    if ($5 != "")
        add($1, "test", $5)
}
END {
    count = split("plain20 plain56 residual20 residual56 residual20-B residual20-C", order, " ")
    printf "%-14s %-28s %s\n", "network", "training", "test"
    for (i = 1; i <= count; i++)
        if (order[i] in last)
            printf "%-14s %-28s %s\n", order[i], text(order[i], "training"), text(order[i], "test")
}
