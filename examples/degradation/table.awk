# From the logs of the runs, NAME-SEED.jsonl, to one table: network,epoch,seed,training_error,test_error (per cent; the test error
# stands in the last epoch's row only, since the test part is judged once).
function number(line, key,    at) {
    at = match(line, "\"" key "\":[-+0-9.eE]+")
    return at ? substr(line, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0 : -1
}
function flush() {
    if (row != "")
        print row (test < 0 ? "" : sprintf("%.2f", test))
    row = ""
    test = -1
}
FNR == 1 {
    flush()
    name = FILENAME
    sub(/.*\//, "", name)
    sub(/\.jsonl$/, "", name)
    seed = name
    sub(/.*-/, "", seed)
    sub(/-[0-9]+$/, "", name)
}
/"kind":"epoch"/ {
    flush()
    row = sprintf("%s,%d,%d,%.2f,", name, number($0, "epoch"), seed, 100 * (1 - number($0, "accuracy")))
}
/"kind":"test"/ { test = 100 * (1 - number($0, "accuracy")) }
END { flush() }
