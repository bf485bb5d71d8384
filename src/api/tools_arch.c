/* The table of a network: what `resnet arch` prints. A row is one operation with parameters, or one that changes the shape; batch
 * normalisation stands as a row of its own, activations and additions do not. */
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "api/given.h"
#include "api/result.h"
#include "models/model.h"
#include "resnet_tools.h"

static const char *op_name(rn_op op)
{
    switch (op) {
    case RN_OP_CONV:
        return "conv";
    case RN_OP_BN:
        return "bn";
    case RN_OP_MAXPOOL:
        return "max pool";
    case RN_OP_MEANPOOL:
    case RN_OP_AVGPOOL:
        return "average pool";
    case RN_OP_PADSHORT:
        return "zero padding";
    case RN_OP_SQUEEZE:
        return "squeeze";
    case RN_OP_SCALE:
        return "scale";
    case RN_OP_TSTP:
        return "statistics";
    case RN_OP_LINEAR:
        return "linear";
    default:
        return NULL;
    }
}

static int64_t node_parameters(const rn_graph *g, int node)
{
    int64_t count = 0;
    for (int p = 0; p < g->params_count; p++)
        if (g->params[p].node == node && g->params[p].kind != RN_PARAM_BN_MEAN && g->params[p].kind != RN_PARAM_BN_VAR)
            count += g->params[p].count;
    return count;
}

/* Rows of the table; the totals are added to *parameters and *macs. */
static json_t *layer_rows(const rn_graph *g, int (*sizes)[2], int64_t *parameters, int64_t *macs)
{
    json_t *rows = json_array();
    for (int i = 0; rows && i < g->nodes_count; i++) {
        const rn_node *node = &g->nodes[i];
        const char *kind = op_name(node->op);
        int64_t own = node_parameters(g, i), work = rn_graph_macs(g, (const int(*)[2])sizes, i);
        if (!kind)
            continue;
        *parameters += own;
        *macs += work;
        json_t *row = json_pack("{s:s, s:s, s:[i,i,i], s:I, s:I}", "name", node->name, "kind", kind, "output", node->channels, sizes[i][0],
                                sizes[i][1], "parameters", (json_int_t)own, "macs", (json_int_t)work);
        if (node->op == RN_OP_CONV)
            rn_result_set(&row, "kernel", json_sprintf("%dx%d", node->kernel_h, node->kernel_w));
        if (node->op == RN_OP_CONV || node->op == RN_OP_MAXPOOL)
            rn_result_set(&row, "stride", json_integer(node->stride));
        rn_result_add(&rows, row);
    }
    return rows;
}

/* Adaptive bins overlap fully where the map has fewer rows than the pool has bins: bins then repeat each other. */
static void add_warnings(json_t **warnings, const rn_graph *g, int (*sizes)[2])
{
    for (int i = 0; i < g->nodes_count; i++) {
        const rn_node *node = &g->nodes[i];
        if (node->op != RN_OP_AVGPOOL)
            continue;
        int h = sizes[node->a][0], w = sizes[node->a][1];
        if (node->out_h > h || node->out_w > w)
            rn_result_add(warnings, json_sprintf("--pool %dx%d: the map before it is only %dx%d, so bins repeat each other: a "
                                                 "larger input or a smaller pool loses nothing",
                                                 node->out_h, node->out_w, h, w));
    }
}

static int describe(const rn_arch *arch, int height, int width, json_t **result, rn_error *err)
{
    rn_graph *graph = NULL;
    int(*sizes)[2] = NULL, status;
    int64_t parameters = 0, macs = 0;
    *result = NULL;
    if ((status = rn_arch_graph(arch, &graph, err)))
        goto fail;
    sizes = calloc((size_t)graph->nodes_count, sizeof *sizes);
    if (!sizes) {
        status = rn_error_memory(err, "a layer table", 0);
        goto fail;
    }
    if ((status = rn_graph_sizes(graph, height, width, sizes, err)))
        goto fail;
    json_t *rows = layer_rows(graph, sizes, &parameters, &macs), *warnings = json_array();
    add_warnings(&warnings, graph, sizes);
    *result = rn_arch_json(arch);
    json_object_del(*result, "name");
    rn_result_set(result, "arch", json_string(arch->name));
    rn_result_set(result, "input", json_pack("[i,i,i]", arch->in_channels, height, width));
    rn_result_set(result, "parameters", json_integer(parameters));
    rn_result_set(result, "macs", json_integer(macs));
    rn_result_set(result, "layers", rows);
    rn_result_set(result, "warnings", warnings);
    if (!*result)
        status = rn_error_memory(err, "a layer table", 0);
fail:
    free(sizes);
    rn_graph_close(&graph);
    return status;
}

int rn_tools_arch(const char *options, char **result, rn_error *err)
{
    rn_given given;
    rn_arch arch;
    int height = 0, width = 0, status;
    json_t *table = NULL;
    *result = NULL;
    if (!rn_given_open(&given, options, err))
        rn_given_network(&given, NULL, &arch, &height, &width);
    if ((status = rn_given_close(&given)) || (status = describe(&arch, height, width, &table, err)))
        return status;
    *result = rn_result_text(table, err);
    return *result ? 0 : RN_ERR_MEMORY;
}

int rn_tools_arch_list(char **result, rn_error *err)
{
    json_t *list = json_array();
    *result = NULL;
    for (int i = 0; i < rn_arch_count(); i++) {
        char options[80];
        rn_given given;
        rn_arch arch;
        int height = 0, width = 0, status;
        json_t *table = NULL;
        snprintf(options, sizeof options, "{\"arch\":\"%s\"}", rn_arch_name(i));
        if (!rn_given_open(&given, options, err))
            rn_given_network(&given, NULL, &arch, &height, &width);
        if ((status = rn_given_close(&given)) || (status = describe(&arch, height, width, &table, err))) {
            json_decref(list);
            return status;
        }
        rn_result_set(&table, "use", json_string(rn_arch_use(i)));
        json_object_del(table, "layers");
        json_object_del(table, "warnings");
        rn_result_add(&list, table);
    }
    *result = rn_result_text(list, err);
    return *result ? 0 : RN_ERR_MEMORY;
}
