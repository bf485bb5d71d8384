# Training error against epoch as SVG: for each network of `names` the mean over the seeds as a line, lowest to highest as a band.
# Sorted input: network,epoch,seed,training_error,...
BEGIN {
    FS = ","
    count = split(names, order, " ")
    for (i = 1; i <= count; i++)
        place[order[i]] = i
    # plain warm, residual cool; the deeper one dark and thick
    colour["plain20"] = "#e8a33d"; colour["plain56"] = "#c0392b"
    colour["residual20"] = "#5dade2"; colour["residual56"] = "#1f4e79"
    colour["residual20-B"] = "#2e8b57"; colour["residual20-C"] = "#8e44ad"
    label["plain20"] = "plain, 20 layers"; label["plain56"] = "plain, 56 layers"
    label["residual20"] = "residual, 20 layers" (names ~ /-B/ ? ", shortcut A" : ""); label["residual56"] = "residual, 56 layers"
    label["residual20-B"] = "residual, 20 layers, shortcut B"; label["residual20-C"] = "residual, 20 layers, shortcut C"
}
$1 in place {
    k = $1 SUBSEP $2
    if (!(k in n))
        low[k] = high[k] = $4
    n[k]++
    sum[k] += $4
    low[k] = $4 < low[k] ? $4 : low[k]
    high[k] = $4 > high[k] ? $4 : high[k]
    most = $4 > most ? $4 : most
    epochs = $2 > epochs ? $2 : epochs
}
function x(epoch) { return left + (epochs > 1 ? (epoch - 1) / (epochs - 1) : 0.5) * (width - left - right) }
function y(error) { return top + (1 - error / ceiling) * (height - top - bottom) }
END {
    width = 760; height = 440; left = 56; right = 24; top = 24; bottom = 48
    step = most > 50 ? 20 : most > 25 ? 10 : most > 10 ? 5 : 2
    ceiling = int(most / step) * step + step
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" ", width, height, width, height
    print "aria-label=\"Training error against epoch\" font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\" font-size=\"13\">"
    printf "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", width, height
    for (error = 0; error <= ceiling; error += step)
        printf "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#e3e3e3\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" fill=\"#333\">%d</text>\n", \
            left, y(error), width - right, y(error), left - 8, y(error) + 4, error
    every = epochs > 12 ? 5 : 1
    for (epoch = 1; epoch <= epochs; epoch++)
        if (epoch == 1 || epoch % every == 0)
            printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#333\">%d</text>\n", x(epoch), height - bottom + 20, epoch
    printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#333\">epoch</text>\n", (left + width - right) / 2, height - 8
    printf "<text x=\"16\" y=\"%.1f\" text-anchor=\"middle\" fill=\"#333\" transform=\"rotate(-90 16 %.1f)\">training error (%%)</text>\n", \
        (top + height - bottom) / 2, (top + height - bottom) / 2
    for (i = 1; i <= count; i++) {
        band = back = line = ""
        for (epoch = 1; epoch <= epochs; epoch++) {
            k = order[i] SUBSEP epoch
            if (!(k in n))
                continue
            line = line sprintf("%.1f,%.1f ", x(epoch), y(sum[k] / n[k]))
            band = band sprintf("%.1f,%.1f ", x(epoch), y(high[k]))
            back = sprintf("%.1f,%.1f ", x(epoch), y(low[k])) back
        }
        c = colour[order[i]]
        thick = order[i] ~ /56/ ? 3 : 1.8
        printf "<polygon points=\"%s%s\" fill=\"%s\" fill-opacity=\"0.18\"/>\n", band, back, c
        printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" stroke-linejoin=\"round\"/>\n", line, c, thick
        printf "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"%s\"/><text x=\"%d\" y=\"%d\" fill=\"#222\">%s</text>\n", \
            width - right - 262, top + 12 + i * 20, width - right - 232, top + 12 + i * 20, c, thick, width - right - 224, top + 16 + i * 20, label[order[i]]
    }
    print "</svg>"
}
