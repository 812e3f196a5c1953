CREATE TABLE jobs (
    id              TEXT PRIMARY KEY,
    number          INTEGER NOT NULL UNIQUE,
    kind            TEXT NOT NULL,
    priority        INTEGER NOT NULL,
    engine          TEXT NOT NULL,
    state           TEXT NOT NULL,
    reason          TEXT,
    error           TEXT,              -- JSON
    spec            TEXT NOT NULL,     -- JSON of JobSpec
    script          TEXT NOT NULL,
    out_path        TEXT,              -- where `say` was told to put it
    out_subtitles   TEXT NOT NULL,     -- JSON: kinds of subtitles wanted beside it
    delivered_at    REAL,              -- wall clock: when it was put there, or elsewhere by `resume`
    created_at      REAL NOT NULL,     -- wall clock, for people
    started_at      REAL,
    ended_at        REAL,
    passages_total  INTEGER NOT NULL,
    passages_done   INTEGER NOT NULL DEFAULT 0,
    audio_samples   INTEGER NOT NULL DEFAULT 0,
    remaining_s     REAL NOT NULL,     -- estimated audio not spoken yet
    claimed_mono    REAL,              -- monotonic clock at the claim
    claimed_samples INTEGER NOT NULL DEFAULT 0,
    progress_mono   REAL,              -- monotonic clock at the latest commit
    audio_file      TEXT,
    audio_bytes     INTEGER,
    token           INTEGER NOT NULL DEFAULT 0,
    lease_worker    TEXT,
    lease_boot      TEXT,
    lease_until     REAL,              -- monotonic clock of lease_boot
    crashes         INTEGER NOT NULL DEFAULT 0,
    events          INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX jobs_queue ON jobs (engine, state, priority DESC, number);
CREATE INDEX jobs_state ON jobs (state);
CREATE INDEX jobs_lease ON jobs (lease_worker) WHERE lease_worker IS NOT NULL;

CREATE TABLE passages (
    job_id          TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position        INTEGER NOT NULL,
    lines           TEXT NOT NULL,     -- JSON: [[speaker, text, language], …]
    silence_before_s REAL NOT NULL,
    language        TEXT NOT NULL,
    units           INTEGER NOT NULL,
    estimated_s     REAL NOT NULL,
    is_spoken       INTEGER NOT NULL DEFAULT 0,  -- 1: all of it is in `stretches`
    marks           TEXT,              -- JSON: [[start_s, end_s, text, speaker], …], once it is spoken
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE stretches (               -- a row is written after its file: the file exists and is complete
    job_id          TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position        INTEGER NOT NULL,  -- of the passage
    number          INTEGER NOT NULL,  -- within the passage, from 0, without gaps
    file            TEXT NOT NULL,
    sha256          TEXT NOT NULL,
    samples         INTEGER NOT NULL,
    trace_bytes     INTEGER NOT NULL,  -- behind the samples in the file: what the engine needs to go on
    PRIMARY KEY (job_id, position, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    job_id  TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number  INTEGER NOT NULL,
    at      REAL NOT NULL,
    kind    TEXT NOT NULL,
    data    TEXT NOT NULL,             -- JSON
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    key         TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_job ON idempotency (job_id);

CREATE TABLE workers (
    id          TEXT PRIMARY KEY,
    engine      TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    boot_id     TEXT NOT NULL,
    state       TEXT NOT NULL,
    steps       INTEGER NOT NULL,
    active      INTEGER NOT NULL,
    beat_mono   REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE paces (
    engine   TEXT NOT NULL,
    language TEXT NOT NULL,
    units    REAL NOT NULL,
    seconds  REAL NOT NULL,
    PRIMARY KEY (engine, language)
) STRICT, WITHOUT ROWID;
