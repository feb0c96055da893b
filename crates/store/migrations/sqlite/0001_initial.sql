-- Ids are 16-byte UUIDv7, times are milliseconds UTC, booleans 0 or 1, sealed columns hold ciphertext.
-- Tables that grow with calls carry CHECKs instead of foreign keys: their rows are written a hundred at a time, and
-- outlive what they name (a deleted flow's calls stay).

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE businesses (
    id              BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name            TEXT NOT NULL UNIQUE,
    default_country TEXT NOT NULL CHECK (length(default_country) = 2),
    created_at      INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE api_keys (
    business_id BLOB NOT NULL REFERENCES businesses (id),
    id          BLOB NOT NULL,
    hash        BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    name        TEXT NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'admin')),
    hint        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    revoked_at  INTEGER,
    PRIMARY KEY (business_id, id)
) WITHOUT ROWID;

CREATE TABLE call_flows (
    business_id BLOB NOT NULL REFERENCES businesses (id),
    id          BLOB NOT NULL CHECK (length(id) = 16),
    name        TEXT NOT NULL,
    source      TEXT,
    recording   INTEGER NOT NULL CHECK (recording IN (0, 1)),
    ai_enabled  INTEGER NOT NULL CHECK (ai_enabled IN (0, 1)),
    version     INTEGER NOT NULL CHECK (version > 0),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (business_id, id)
) WITHOUT ROWID;

CREATE TABLE destinations (
    business_id             BLOB NOT NULL,
    call_flow_id            BLOB NOT NULL,
    id                      BLOB NOT NULL CHECK (length(id) = 16),
    is_post_call_webhook    INTEGER NOT NULL CHECK (is_post_call_webhook IN (0, 1)),
    enabled                 INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    url                     TEXT,
    wait_for_ai             INTEGER NOT NULL CHECK (wait_for_ai IN (0, 1)),
    headers_sealed          BLOB NOT NULL,
    retry_delays_seconds    TEXT,
    signing_sealed          BLOB NOT NULL,
    previous_signing_sealed BLOB,
    previous_signing_until  INTEGER,
    PRIMARY KEY (business_id, call_flow_id, id),
    FOREIGN KEY (business_id, call_flow_id) REFERENCES call_flows (business_id, id) ON DELETE CASCADE,
    CHECK (enabled = 0 OR url IS NOT NULL),
    CHECK ((previous_signing_sealed IS NULL) = (previous_signing_until IS NULL))
) WITHOUT ROWID;

CREATE TABLE numbers (
    business_id   BLOB NOT NULL REFERENCES businesses (id),
    id            BLOB NOT NULL CHECK (length(id) = 16),
    phone_number  TEXT NOT NULL CHECK (phone_number GLOB '+[1-9]*'),
    friendly_name TEXT,
    call_flow_id  BLOB,
    source        TEXT,
    utm_source    TEXT,
    utm_medium    TEXT,
    utm_campaign  TEXT,
    utm_term      TEXT,
    utm_content   TEXT,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (business_id, id),
    UNIQUE (business_id, phone_number)
) WITHOUT ROWID;
CREATE INDEX numbers_by_call_flow ON numbers (business_id, call_flow_id);

-- A row is about 1 KB: a table with a rowid packs such rows four to a page, one without would spill each to a page of its own.
CREATE TABLE calls (
    business_id          BLOB NOT NULL,
    id                   BLOB NOT NULL CHECK (length(id) = 16),
    reported_by          TEXT NOT NULL,
    source_call_id       TEXT,
    call_flow_id         BLOB,
    call_flow_name       TEXT,
    number_id            BLOB,
    tracking_number      TEXT,
    caller_number        TEXT NOT NULL,
    destination_number   TEXT,
    direction            TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    status               TEXT NOT NULL CHECK (status IN ('completed', 'no-answer', 'voicemail', 'busy', 'failed')),
    duration_seconds     INTEGER NOT NULL CHECK (duration_seconds >= 0),
    started_at           INTEGER NOT NULL,
    ended_at             INTEGER NOT NULL,
    recording_token      TEXT,
    recording_sealed     BLOB,
    recording_duration   INTEGER,
    transcription        TEXT,
    summary              TEXT,
    ai_score             INTEGER CHECK (ai_score BETWEEN 0 AND 100),
    ai_category          TEXT CHECK (ai_category IN ('lead', 'existing_customer', 'spam', 'wrong_number', 'voicemail')),
    qualified_ai         INTEGER CHECK (qualified_ai IN (0, 1)),
    qualification_reason TEXT,
    robo_score           INTEGER CHECK (robo_score BETWEEN 0 AND 100),
    ai_processed         INTEGER NOT NULL CHECK (ai_processed IN (0, 1)),
    source               TEXT,
    landing_page_url     TEXT,
    referrer_url         TEXT,
    utm_source           TEXT,
    utm_medium           TEXT,
    utm_campaign         TEXT,
    utm_term             TEXT,
    utm_content          TEXT,
    gclid                TEXT,
    fbclid               TEXT,
    msclkid              TEXT,
    value_cents          INTEGER,
    cost_cents           INTEGER,
    reported_at          INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL
);
CREATE UNIQUE INDEX calls_by_id ON calls (business_id, id);
CREATE UNIQUE INDEX calls_by_source_call_id ON calls (business_id, reported_by, source_call_id) WHERE source_call_id IS NOT NULL;
CREATE INDEX calls_by_call_flow ON calls (business_id, call_flow_id, id);
CREATE UNIQUE INDEX calls_by_recording_token ON calls (recording_token) WHERE recording_token IS NOT NULL;

-- All of a body but what changes from attempt to attempt; shared by a call's deliveries that became due together.
CREATE TABLE payloads (
    id   INTEGER NOT NULL PRIMARY KEY,
    body BLOB NOT NULL
);

CREATE TABLE queues (
    id       INTEGER NOT NULL PRIMARY KEY,
    epoch    INTEGER NOT NULL CHECK (epoch > 0),
    released INTEGER NOT NULL CHECK (released IN (0, 1))
);

CREATE TABLE deliveries (
    business_id       BLOB NOT NULL,
    id                BLOB NOT NULL CHECK (length(id) = 16),
    call_id           BLOB,
    call_flow_id      BLOB NOT NULL,
    destination_id    BLOB NOT NULL,
    queue             INTEGER NOT NULL,
    kind              TEXT NOT NULL CHECK (kind IN ('call', 'test')),
    event             TEXT NOT NULL CHECK (event IN ('call.completed', 'call.missed', 'call.voicemail', 'call.failed')),
    status            TEXT NOT NULL CHECK (status IN ('waiting_for_ai', 'scheduled', 'delivered', 'failed', 'cancelled', 'skipped')),
    version           INTEGER NOT NULL CHECK (version > 0),
    url               TEXT NOT NULL,
    payload_id        INTEGER,
    attempt_count     INTEGER NOT NULL CHECK (attempt_count >= 0),
    attempt_in_series INTEGER NOT NULL CHECK (attempt_in_series BETWEEN 0 AND attempt_count),
    next_attempt_at   INTEGER,
    last_status_code  INTEGER,
    last_error        TEXT,
    reason            TEXT,
    delivered_at      INTEGER,
    PRIMARY KEY (business_id, id),
    CHECK ((status IN ('waiting_for_ai', 'scheduled')) = (next_attempt_at IS NOT NULL)),
    CHECK ((status = 'delivered') = (delivered_at IS NOT NULL)),
    CHECK (status <> 'scheduled' OR payload_id IS NOT NULL)
) WITHOUT ROWID;
CREATE INDEX deliveries_by_call ON deliveries (business_id, call_id);
CREATE INDEX deliveries_by_call_flow ON deliveries (business_id, call_flow_id, id);
CREATE INDEX deliveries_not_delivered ON deliveries (business_id, status, id) WHERE status <> 'delivered';
CREATE INDEX deliveries_failing ON deliveries (business_id, last_error, id) WHERE last_error IS NOT NULL;
CREATE INDEX deliveries_tests ON deliveries (business_id, id) WHERE kind = 'test';
CREATE INDEX deliveries_pending_by_lane ON deliveries (destination_id, next_attempt_at, id) WHERE next_attempt_at IS NOT NULL;

-- The start is part of the key: after a cancellation and a redelivery, a late attempt may have the number of a new one.
CREATE TABLE attempts (
    business_id      BLOB NOT NULL,
    delivery_id      BLOB NOT NULL,
    attempt          INTEGER NOT NULL CHECK (attempt > 0),
    started_at       INTEGER NOT NULL,
    duration_ms      INTEGER NOT NULL CHECK (duration_ms >= 0),
    status_code      INTEGER,
    error            TEXT,
    error_detail     TEXT,
    url              TEXT NOT NULL,
    remote_address   TEXT,
    response_headers TEXT NOT NULL,
    response_excerpt TEXT,
    repeated         INTEGER NOT NULL CHECK (repeated IN (0, 1)),
    PRIMARY KEY (business_id, delivery_id, attempt, started_at),
    CHECK ((error IS NULL) = (error_detail IS NULL))
) WITHOUT ROWID;

-- Ended attempts and deliveries, counted as they end, by minute.
CREATE TABLE delivery_statistics (
    business_id    BLOB NOT NULL,
    minute         INTEGER NOT NULL,
    call_flow_id   BLOB NOT NULL,
    status         TEXT NOT NULL,
    latency_bucket INTEGER NOT NULL,
    count          INTEGER NOT NULL,
    PRIMARY KEY (business_id, minute, call_flow_id, status, latency_bucket)
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    business_id     BLOB NOT NULL,
    key             TEXT NOT NULL,
    request_hash    BLOB NOT NULL,
    status          INTEGER NOT NULL,
    response_sealed BLOB NOT NULL,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (business_id, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- The calls that a kept response shows: when one is erased, so is the response.
CREATE TABLE idempotency_subjects (
    business_id BLOB NOT NULL,
    call_id     BLOB NOT NULL,
    key         TEXT NOT NULL,
    PRIMARY KEY (business_id, call_id, key),
    FOREIGN KEY (business_id, key) REFERENCES idempotency_keys (business_id, key) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX idempotency_subjects_by_key ON idempotency_subjects (business_id, key);

CREATE TABLE sources (
    business_id       BLOB NOT NULL REFERENCES businesses (id),
    id                BLOB NOT NULL CHECK (length(id) = 16),
    kind              TEXT NOT NULL CHECK (kind IN ('twilio')),
    name              TEXT NOT NULL,
    token_hash        BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    token_sealed      BLOB NOT NULL,
    auth_token_sealed BLOB NOT NULL,
    dial              INTEGER NOT NULL CHECK (dial IN (0, 1)),
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    PRIMARY KEY (business_id, id)
) WITHOUT ROWID;

-- A call of a phone system that reports it leg by leg, until it is one.
CREATE TABLE source_calls (
    business_id    BLOB NOT NULL,
    source_id      BLOB NOT NULL,
    source_call_id TEXT NOT NULL,
    state_sealed   BLOB NOT NULL,
    due_at         INTEGER,
    updated_at     INTEGER NOT NULL,
    PRIMARY KEY (business_id, source_id, source_call_id)
) WITHOUT ROWID;
CREATE INDEX source_calls_by_due ON source_calls (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX source_calls_by_age ON source_calls (updated_at);

-- A keyed hash of an erased call's source and source id: a late repeat of its report neither revives nor fires it.
CREATE TABLE tombstones (
    business_id BLOB NOT NULL,
    hash        BLOB NOT NULL CHECK (length(hash) = 32),
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (business_id, hash)
) WITHOUT ROWID;

-- Work on more rows than one transaction may change; goes on in steps, also after a restart.
CREATE TABLE jobs (
    business_id BLOB NOT NULL,
    id          BLOB NOT NULL CHECK (length(id) = 16),
    spec        TEXT NOT NULL,
    cursor      BLOB,
    created_at  INTEGER NOT NULL,
    not_before  INTEGER NOT NULL,
    PRIMARY KEY (business_id, id)
) WITHOUT ROWID;

-- Without statistics the planner takes any index that begins with the business for as good as any other, and walks all rows of
-- the business. These numbers are no count but a shape: rows of the table, then rows for each equal prefix of the index.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('calls',      'calls_by_id',                '1000000 100000 1'),
    ('calls',      'calls_by_source_call_id',    '1000000 100000 100000 1'),
    ('calls',      'calls_by_call_flow',         '1000000 100000 1000 1'),
    ('calls',      'calls_by_recording_token',   '1000000 1'),
    ('deliveries', 'deliveries',                 '1000000 100000 1'),
    ('deliveries', 'deliveries_by_call',         '1000000 100000 2'),
    ('deliveries', 'deliveries_by_call_flow',    '1000000 100000 1000 1'),
    ('deliveries', 'deliveries_not_delivered',   '50000 5000 1000 1'),
    ('deliveries', 'deliveries_failing',         '50000 5000 500 1'),
    ('deliveries', 'deliveries_tests',           '1000 100 1'),
    ('deliveries', 'deliveries_pending_by_lane', '10000 100 2 1');
ANALYZE sqlite_schema;
