/* The store of embeddings over SQLite.
 *
 * While it is written it has a write-ahead log, so that a search can go on reading; synchronous=EXTRA makes a commit mean that the disk has
 * it, with the log or, on a file system that can't share memory for one, with a rollback journal. The last to close it takes the log
 * away again: one plain file is left. A process that was killed leaves the log, which the next to open the file reads.
 *
 * A file is a savepoint within a transaction, so its windows are all there or none, and they need no room in memory.
 * Source: SQLite's documentation ("Write-Ahead Logging", "PRAGMA synchronous", "Database File Format"). */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define APPLICATION 0x524E656D /* "RNem" */
#define SCHEMA 1
#define WAIT_MS 30000
#define PAUSE_US 3000 /* after a commit, so that whoever waits gets a turn */

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error vectors are stored little endian, as they lie in memory
#endif

static const char tables[] = /* `.schema` shows it as it is here */
    "CREATE TABLE models (\n"
    "  id INTEGER PRIMARY KEY,\n"
    "  hash TEXT NOT NULL UNIQUE, -- XXH3-128 of the model file\n"
    "  path TEXT NOT NULL,        -- where it was when it was first used\n"
    "  arch TEXT NOT NULL,\n"
    "  numbers INTEGER NOT NULL   -- of a vector\n"
    ");"
    "CREATE TABLE files (\n"
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,\n"
    "  path TEXT NOT NULL, -- as it was given\n"
    "  model INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,\n"
    "  options TEXT NOT NULL, -- JSON: what else the vectors depend on\n"
    "  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,\n"
    "  hash TEXT NOT NULL, -- XXH3-128 of the file, as in split.csv\n"
    "  UNIQUE (path, model)\n"
    ");"
    "CREATE TABLE windows (\n"
    "  id INTEGER PRIMARY KEY, -- in the order of time\n"
    "  file INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,\n"
    "  start_s REAL NOT NULL, end_s REAL NOT NULL,\n"
    "  vector BLOB NOT NULL -- float32, little endian\n"
    ");"
    "CREATE INDEX files_of_model ON files (model);"
    "CREATE INDEX windows_of_file ON windows (file);"
    "CREATE VIEW embeddings AS\n"
    "  SELECT windows.id AS id, files.path AS path, start_s, end_s, vector, models.hash AS model_hash\n"
    "  FROM windows JOIN files ON files.id = windows.file JOIN models ON models.id = files.model;";

enum { FIND_MODEL, ADD_MODEL, FIND_FILE, REMOVE_FILE, ADD_FILE, TOUCH_FILE, ADD_WINDOW, STATEMENTS };

static const char *const statements[STATEMENTS] = {
    [FIND_MODEL] = "SELECT id FROM models WHERE hash = ?",
    [ADD_MODEL] = "INSERT INTO models (hash, path, arch, numbers) VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING",
    [FIND_FILE] = "SELECT size, mtime_ns, hash FROM files WHERE path = ? AND model = ? AND options = ?",
    [REMOVE_FILE] = "DELETE FROM files WHERE path = ? AND model = ?",
    [ADD_FILE] = "INSERT INTO files (path, model, options, size, mtime_ns, hash) VALUES (?, ?, ?, ?, ?, ?)",
    [TOUCH_FILE] = "UPDATE files SET size = ?3, mtime_ns = ?4 WHERE path = ?1 AND model = ?2",
    [ADD_WINDOW] = "INSERT INTO windows (file, start_s, end_s, vector) VALUES (?, ?, ?, ?)",
};

struct store {
    char *path;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    const store_model *model;
    sqlite3_int64 model_id, file_id; /* 0: not in the store yet */
    int writing;                     /* the log was asked for */
};

static int refuse(const store *s, int code, const char *what, rn_error *err)
{
    err->code = code;
    snprintf(err->text, sizeof err->text, "%.500s: %.400s", s->path, what);
    return code;
}

/* What SQLite's code means for whoever waits for the vectors. */
static int failed(store *s, int code, rn_error *err)
{
    static const struct {
        int sqlite, code;
        const char *text;
    } meanings[] = {
        {SQLITE_BUSY, RN_ERR_IO, "another program holds it locked: try again when that is done"},
        {SQLITE_LOCKED, RN_ERR_IO, "another program holds it locked: try again when that is done"},
        {SQLITE_NOTADB, RN_ERR_FORMAT, "no SQLite database; it is left as it is: name another file for the embeddings"},
        {SQLITE_CORRUPT, RN_ERR_FORMAT,
         "the database is damaged: move it away and embed again, or save what can be read with sqlite3's .recover"},
        {SQLITE_READONLY, RN_ERR_IO, "may not be written: the file, or its folder"},
        {SQLITE_FULL, RN_ERR_IO, "No space left on device: free some, and the same command goes on"},
        {SQLITE_NOMEM, RN_ERR_MEMORY, "no memory for the database"},
    };
    char text[400];
    int number = s->db ? sqlite3_system_errno(s->db) : 0, kind = code & 0xff;
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].sqlite == kind)
            return refuse(s, meanings[i].code, meanings[i].text, err);
    if (number && (kind == SQLITE_CANTOPEN || kind == SQLITE_IOERR))
        return refuse(s, RN_ERR_IO, number == ENOENT ? "No such file or folder" : strerror(number), err);
    snprintf(text, sizeof text, "SQLite says: %s", s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code));
    return refuse(s, RN_ERR_IO, text, err);
}

static int execute(store *s, const char *sql, rn_error *err)
{
    int code = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return code ? failed(s, code, err) : 0;
}

/* Runs a statement that was bound. *row: whether it gave one, which may be read until rest(). */
static int step(store *s, sqlite3_stmt *statement, int *row, rn_error *err)
{
    int code = sqlite3_step(statement), status = 0;
    *row = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = failed(s, code, err);
    return status;
}

static void rest(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

/* A statement that gives no rows. */
static int finish(store *s, int which, rn_error *err)
{
    int row, status = step(s, s->statements[which], &row, err);
    rest(s->statements[which]);
    return status;
}

static int ask_number(store *s, const char *sql, sqlite3_int64 *value, rn_error *err)
{
    sqlite3_stmt *statement = NULL;
    int row = 0, code = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL),
        status = code ? failed(s, code, err) : step(s, statement, &row, err);
    if (row)
        *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return status;
}

/* Whose database this is: *empty, or ours, or an error. */
static int recognise(store *s, int *empty, rn_error *err)
{
    sqlite3_int64 application = 0, schema = 0, objects = 0;
    int status;
    if ((status = ask_number(s, "PRAGMA application_id", &application, err)) ||
        (status = ask_number(s, "PRAGMA user_version", &schema, err)) ||
        (status = ask_number(s, "SELECT count(*) FROM sqlite_master", &objects, err)))
        return status;
    *empty = !application && !schema && !objects;
    if (*empty)
        return 0;
    if (application != APPLICATION || schema < 1)
        return refuse(s, RN_ERR_FORMAT, "a database of something else; it is left as it is: name another file for the embeddings", err);
    if (schema > SCHEMA)
        return refuse(s, RN_ERR_UNSUPPORTED, "a newer version of resnet made this store: use that one, or name another file", err);
    return 0;
}

/* Makes the tables, unless another process was faster. */
static int found_store(store *s, rn_error *err)
{
    char mark[100];
    int empty, status;
    snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", APPLICATION, SCHEMA);
    if ((status = execute(s, "BEGIN IMMEDIATE", err)) || (status = recognise(s, &empty, err)))
        return status;
    if (!empty)
        return execute(s, "COMMIT", err);
    return (status = execute(s, tables, err)) ? status : execute(s, mark, err);
}

/* SQLite's own way to wait looks ten times a second, and would not see the pause between another embed's transactions. */
static int wait_for_lock(void *context, int tries)
{
    (void)context;
    usleep(1000);
    return tries < WAIT_MS;
}

/* An empty file where there is none: SQLite would not say why it can't make one. */
static int make_file(store *s, rn_error *err)
{
    int file = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666), number = errno;
    if (file >= 0)
        close(file);
    else if (access(s->path, F_OK)) /* else SQLite can read it, or says what it is */
        return refuse(s, RN_ERR_IO, number == ENOENT ? "No such file or folder" : strerror(number), err);
    return 0;
}

int store_open(store **out, const char *path, rn_error *err)
{
    store *s = calloc(1, sizeof *s);
    char *name = malloc(strlen(path) + 3);
    int code, empty = 0, status = 0;
    *out = NULL;
    if (!s || !name || !(s->path = strdup(path))) {
        err->code = status = RN_ERR_MEMORY;
        snprintf(err->text, sizeof err->text, "no memory for a store");
        goto fail;
    }
    sprintf(name, "%s%s", *path == '/' ? "" : "./", path); /* or "file:..." would be an address */
    if ((status = make_file(s, err)))
        goto fail;
    if ((code = sqlite3_open_v2(name, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL))) {
        status = failed(s, code, err);
        goto fail;
    }
    sqlite3_busy_handler(s->db, wait_for_lock, NULL);
    if ((status = execute(s, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA synchronous = EXTRA", err)) ||
        (status = recognise(s, &empty, err)) || (empty && (status = found_store(s, err))))
        goto fail;
    for (int i = 0; i < STATEMENTS && !status; i++)
        if ((code = sqlite3_prepare_v3(s->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL)))
            status = failed(s, code, err);
fail:
    free(name);
    if (!status)
        *out = s;
    else
        store_close(&s);
    return status;
}

static int find_model(store *s, rn_error *err)
{
    sqlite3_stmt *statement = s->statements[FIND_MODEL];
    int row, status;
    sqlite3_bind_text(statement, 1, s->model->hash, -1, SQLITE_STATIC);
    if (!(status = step(s, statement, &row, err)))
        s->model_id = row ? sqlite3_column_int64(statement, 0) : 0;
    rest(statement);
    return status;
}

int store_use(store *s, const store_model *model, rn_error *err)
{
    s->model = model;
    return find_model(s, err);
}

/* As text, or as a BLOB where the bytes are not UTF-8, which a reader of texts would trip over. */
static void bind_name(sqlite3_stmt *statement, int at, const char *name)
{
    json_t *text = json_string(name);
    if (text)
        sqlite3_bind_text(statement, at, name, -1, SQLITE_STATIC);
    else
        sqlite3_bind_blob(statement, at, name, (int)strlen(name), SQLITE_STATIC);
    json_decref(text);
}

int store_find(store *s, const char *path, store_file *known, int *found, rn_error *err)
{
    sqlite3_stmt *statement = s->statements[FIND_FILE];
    int status;
    bind_name(statement, 1, path);
    sqlite3_bind_int64(statement, 2, s->model_id);
    sqlite3_bind_text(statement, 3, s->model->options, -1, SQLITE_STATIC);
    if (!(status = step(s, statement, found, err)) && *found) {
        const unsigned char *hash = sqlite3_column_text(statement, 2);
        known->size = sqlite3_column_int64(statement, 0);
        known->mtime_ns = sqlite3_column_int64(statement, 1);
        snprintf(known->hash, sizeof known->hash, "%s", hash ? (const char *)hash : "");
    }
    rest(statement);
    return status;
}

/* A transaction, and the model's row in it. */
static int begin(store *s, rn_error *err)
{
    int status;
    if (!sqlite3_get_autocommit(s->db))
        return 0;
    if (!s->writing++) /* where it can't be had there is a rollback journal, which is as safe */
        sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    if ((status = execute(s, "BEGIN IMMEDIATE", err)) || s->model_id)
        return status;
    sqlite3_stmt *statement = s->statements[ADD_MODEL];
    sqlite3_bind_text(statement, 1, s->model->hash, -1, SQLITE_STATIC);
    bind_name(statement, 2, s->model->path);
    sqlite3_bind_text(statement, 3, s->model->arch, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 4, s->model->numbers);
    return (status = finish(s, ADD_MODEL, err)) ? status : find_model(s, err);
}

int store_begin(store *s, const store_file *file, rn_error *err)
{
    sqlite3_stmt *statement = s->statements[REMOVE_FILE];
    int status;
    if ((status = begin(s, err)) || (status = execute(s, "SAVEPOINT file", err)))
        return status;
    bind_name(statement, 1, file->path);
    sqlite3_bind_int64(statement, 2, s->model_id);
    if ((status = finish(s, REMOVE_FILE, err)))
        return status;
    statement = s->statements[ADD_FILE];
    bind_name(statement, 1, file->path);
    sqlite3_bind_int64(statement, 2, s->model_id);
    sqlite3_bind_text(statement, 3, s->model->options, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, file->size);
    sqlite3_bind_int64(statement, 5, file->mtime_ns);
    sqlite3_bind_text(statement, 6, file->hash, -1, SQLITE_STATIC);
    if ((status = finish(s, ADD_FILE, err)))
        return status;
    s->file_id = sqlite3_last_insert_rowid(s->db);
    return 0;
}

int store_window(store *s, double start_s, double end_s, const float *vector, rn_error *err)
{
    sqlite3_stmt *statement = s->statements[ADD_WINDOW];
    sqlite3_bind_int64(statement, 1, s->file_id);
    sqlite3_bind_double(statement, 2, start_s);
    sqlite3_bind_double(statement, 3, end_s);
    sqlite3_bind_blob(statement, 4, vector, s->model->numbers * (int)sizeof *vector, SQLITE_STATIC);
    return finish(s, ADD_WINDOW, err);
}

int store_keep(store *s, rn_error *err)
{
    return execute(s, "RELEASE file", err);
}

int store_drop(store *s, rn_error *err)
{
    return execute(s, "ROLLBACK TO file; RELEASE file", err);
}

int store_touch(store *s, const store_file *file, rn_error *err)
{
    sqlite3_stmt *statement = s->statements[TOUCH_FILE];
    int status = begin(s, err);
    if (status)
        return status;
    bind_name(statement, 1, file->path);
    sqlite3_bind_int64(statement, 2, s->model_id);
    sqlite3_bind_int64(statement, 3, file->size);
    sqlite3_bind_int64(statement, 4, file->mtime_ns);
    return finish(s, TOUCH_FILE, err);
}

int store_commit(store *s, rn_error *err)
{
    if (sqlite3_get_autocommit(s->db))
        return 0;
    int status = execute(s, "COMMIT", err);
    usleep(PAUSE_US);
    return status;
}

void store_close(store **out)
{
    store *s = *out;
    if (!s)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    if (s->model) { /* else it may be another's; whoever still has it open keeps the log */
        sqlite3_busy_handler(s->db, NULL, NULL);
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        sqlite3_exec(s->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    }
    sqlite3_close(s->db);
    free(s->path);
    free(s);
    *out = NULL;
}
