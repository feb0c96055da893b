-- Ids are 16-byte UUIDv7, times are milliseconds UTC, booleans 0 or 1, sealed columns hold ciphertext. Texts that are compared or
-- ordered go by their bytes, whatever the database's collation.
-- Tables that grow with calls carry CHECKs instead of foreign keys: their rows are written a hundred at a time, and
-- outlive what they name (a deleted flow's calls stay).

CREATE TABLE meta (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE businesses (
    id              BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name            TEXT COLLATE "C" NOT NULL UNIQUE,
    default_country TEXT COLLATE "C" NOT NULL CHECK (length(default_country) = 2),
    created_at      BIGINT NOT NULL
);

CREATE TABLE api_keys (
    business_id BYTEA NOT NULL REFERENCES businesses (id),
    id          BYTEA NOT NULL,
    hash        BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    name        TEXT COLLATE "C" NOT NULL,
    role        TEXT COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'member', 'admin')),
    hint        TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    revoked_at  BIGINT,
    PRIMARY KEY (business_id, id)
);

CREATE TABLE call_flows (
    business_id BYTEA NOT NULL REFERENCES businesses (id),
    id          BYTEA NOT NULL CHECK (length(id) = 16),
    name        TEXT COLLATE "C" NOT NULL,
    source      TEXT COLLATE "C",
    recording   INTEGER NOT NULL CHECK (recording IN (0, 1)),
    ai_enabled  INTEGER NOT NULL CHECK (ai_enabled IN (0, 1)),
    version     BIGINT NOT NULL CHECK (version > 0),
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (business_id, id)
);

CREATE TABLE destinations (
    business_id             BYTEA NOT NULL,
    call_flow_id            BYTEA NOT NULL,
    id                      BYTEA NOT NULL CHECK (length(id) = 16),
    is_post_call_webhook    INTEGER NOT NULL CHECK (is_post_call_webhook IN (0, 1)),
    enabled                 INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    url                     TEXT COLLATE "C",
    wait_for_ai             INTEGER NOT NULL CHECK (wait_for_ai IN (0, 1)),
    headers_sealed          BYTEA NOT NULL,
    retry_delays_seconds    TEXT COLLATE "C",
    signing_sealed          BYTEA NOT NULL,
    previous_signing_sealed BYTEA,
    previous_signing_until  BIGINT,
    PRIMARY KEY (business_id, call_flow_id, id),
    FOREIGN KEY (business_id, call_flow_id) REFERENCES call_flows (business_id, id) ON DELETE CASCADE,
    CHECK (enabled = 0 OR url IS NOT NULL),
    CHECK ((previous_signing_sealed IS NULL) = (previous_signing_until IS NULL))
);

CREATE TABLE numbers (
    business_id   BYTEA NOT NULL REFERENCES businesses (id),
    id            BYTEA NOT NULL CHECK (length(id) = 16),
    phone_number  TEXT COLLATE "C" NOT NULL CHECK (phone_number ~ '^[+][1-9]'),
    friendly_name TEXT COLLATE "C",
    call_flow_id  BYTEA,
    source        TEXT COLLATE "C",
    utm_source    TEXT COLLATE "C",
    utm_medium    TEXT COLLATE "C",
    utm_campaign  TEXT COLLATE "C",
    utm_term      TEXT COLLATE "C",
    utm_content   TEXT COLLATE "C",
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    PRIMARY KEY (business_id, id),
    UNIQUE (business_id, phone_number)
);
CREATE INDEX numbers_by_call_flow ON numbers (business_id, call_flow_id);

CREATE TABLE calls (
    business_id          BYTEA NOT NULL,
    id                   BYTEA NOT NULL CHECK (length(id) = 16),
    reported_by          TEXT COLLATE "C" NOT NULL,
    source_call_id       TEXT COLLATE "C",
    call_flow_id         BYTEA,
    call_flow_name       TEXT COLLATE "C",
    number_id            BYTEA,
    tracking_number      TEXT COLLATE "C",
    caller_number        TEXT COLLATE "C" NOT NULL,
    destination_number   TEXT COLLATE "C",
    direction            TEXT COLLATE "C" NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    status               TEXT COLLATE "C" NOT NULL CHECK (status IN ('completed', 'no-answer', 'voicemail', 'busy', 'failed')),
    duration_seconds     INTEGER NOT NULL CHECK (duration_seconds >= 0),
    started_at           BIGINT NOT NULL,
    ended_at             BIGINT NOT NULL,
    recording_token      TEXT COLLATE "C",
    recording_sealed     BYTEA,
    recording_duration   INTEGER,
    transcription        TEXT COLLATE "C",
    summary              TEXT COLLATE "C",
    ai_score             INTEGER CHECK (ai_score BETWEEN 0 AND 100),
    ai_category          TEXT COLLATE "C" CHECK (ai_category IN ('lead', 'existing_customer', 'spam', 'wrong_number', 'voicemail')),
    qualified_ai         INTEGER CHECK (qualified_ai IN (0, 1)),
    qualification_reason TEXT COLLATE "C",
    robo_score           INTEGER CHECK (robo_score BETWEEN 0 AND 100),
    ai_processed         INTEGER NOT NULL CHECK (ai_processed IN (0, 1)),
    source               TEXT COLLATE "C",
    landing_page_url     TEXT COLLATE "C",
    referrer_url         TEXT COLLATE "C",
    utm_source           TEXT COLLATE "C",
    utm_medium           TEXT COLLATE "C",
    utm_campaign         TEXT COLLATE "C",
    utm_term             TEXT COLLATE "C",
    utm_content          TEXT COLLATE "C",
    gclid                TEXT COLLATE "C",
    fbclid               TEXT COLLATE "C",
    msclkid              TEXT COLLATE "C",
    value_cents          BIGINT,
    cost_cents           BIGINT,
    reported_at          BIGINT NOT NULL,
    updated_at           BIGINT NOT NULL
);
CREATE UNIQUE INDEX calls_by_id ON calls (business_id, id);
CREATE UNIQUE INDEX calls_by_source_call_id ON calls (business_id, reported_by, source_call_id) WHERE source_call_id IS NOT NULL;
CREATE INDEX calls_by_call_flow ON calls (business_id, call_flow_id, id);
CREATE UNIQUE INDEX calls_by_recording_token ON calls (recording_token) WHERE recording_token IS NOT NULL;

-- All of a body but what changes from attempt to attempt; shared by a call's deliveries that became due together.
CREATE TABLE payloads (
    id   BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    body BYTEA NOT NULL
);

CREATE TABLE queues (
    id       BIGINT NOT NULL PRIMARY KEY,
    epoch    BIGINT NOT NULL CHECK (epoch > 0),
    released INTEGER NOT NULL CHECK (released IN (0, 1))
);

CREATE TABLE deliveries (
    business_id       BYTEA NOT NULL,
    id                BYTEA NOT NULL CHECK (length(id) = 16),
    call_id           BYTEA,
    call_flow_id      BYTEA NOT NULL,
    destination_id    BYTEA NOT NULL,
    queue             INTEGER NOT NULL,
    kind              TEXT COLLATE "C" NOT NULL CHECK (kind IN ('call', 'test')),
    event             TEXT COLLATE "C" NOT NULL CHECK (event IN ('call.completed', 'call.missed', 'call.voicemail', 'call.failed')),
    status            TEXT COLLATE "C" NOT NULL CHECK (status IN ('waiting_for_ai', 'scheduled', 'delivered', 'failed', 'cancelled', 'skipped')),
    version           BIGINT NOT NULL CHECK (version > 0),
    url               TEXT COLLATE "C" NOT NULL,
    payload_id        BIGINT,
    attempt_count     INTEGER NOT NULL CHECK (attempt_count >= 0),
    attempt_in_series INTEGER NOT NULL CHECK (attempt_in_series BETWEEN 0 AND attempt_count),
    next_attempt_at   BIGINT,
    last_status_code  INTEGER,
    last_error        TEXT COLLATE "C",
    reason            TEXT COLLATE "C",
    delivered_at      BIGINT,
    PRIMARY KEY (business_id, id),
    CHECK ((status IN ('waiting_for_ai', 'scheduled')) = (next_attempt_at IS NOT NULL)),
    CHECK ((status = 'delivered') = (delivered_at IS NOT NULL)),
    CHECK (status <> 'scheduled' OR payload_id IS NOT NULL)
);
CREATE INDEX deliveries_by_call ON deliveries (business_id, call_id);
CREATE INDEX deliveries_by_call_flow ON deliveries (business_id, call_flow_id, id);
CREATE INDEX deliveries_not_delivered ON deliveries (business_id, status, id) WHERE status <> 'delivered';
CREATE INDEX deliveries_failing ON deliveries (business_id, last_error, id) WHERE last_error IS NOT NULL;
CREATE INDEX deliveries_tests ON deliveries (business_id, id) WHERE kind = 'test';
CREATE INDEX deliveries_pending_by_lane ON deliveries (destination_id, next_attempt_at, id) WHERE next_attempt_at IS NOT NULL;

-- The start is part of the key: after a cancellation and a redelivery, a late attempt may have the number of a new one.
CREATE TABLE attempts (
    business_id      BYTEA NOT NULL,
    delivery_id      BYTEA NOT NULL,
    attempt          INTEGER NOT NULL CHECK (attempt > 0),
    started_at       BIGINT NOT NULL,
    duration_ms      BIGINT NOT NULL CHECK (duration_ms >= 0),
    status_code      INTEGER,
    error            TEXT COLLATE "C",
    error_detail     TEXT COLLATE "C",
    url              TEXT COLLATE "C" NOT NULL,
    remote_address   TEXT COLLATE "C",
    response_headers TEXT COLLATE "C" NOT NULL,
    response_excerpt TEXT COLLATE "C",
    repeated         INTEGER NOT NULL CHECK (repeated IN (0, 1)),
    PRIMARY KEY (business_id, delivery_id, attempt, started_at),
    CHECK ((error IS NULL) = (error_detail IS NULL))
);

-- Ended attempts and deliveries, counted as they end, by minute.
CREATE TABLE delivery_statistics (
    business_id    BYTEA NOT NULL,
    minute         BIGINT NOT NULL,
    call_flow_id   BYTEA NOT NULL,
    status         TEXT COLLATE "C" NOT NULL,
    latency_bucket INTEGER NOT NULL,
    count          BIGINT NOT NULL,
    PRIMARY KEY (business_id, minute, call_flow_id, status, latency_bucket)
);

CREATE TABLE idempotency_keys (
    business_id     BYTEA NOT NULL,
    key             TEXT COLLATE "C" NOT NULL,
    request_hash    BYTEA NOT NULL,
    status          INTEGER NOT NULL,
    response_sealed BYTEA NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (business_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- The calls that a kept response shows: when one is erased, so is the response.
CREATE TABLE idempotency_subjects (
    business_id BYTEA NOT NULL,
    call_id     BYTEA NOT NULL,
    key         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (business_id, call_id, key),
    FOREIGN KEY (business_id, key) REFERENCES idempotency_keys (business_id, key) ON DELETE CASCADE
);
CREATE INDEX idempotency_subjects_by_key ON idempotency_subjects (business_id, key);

CREATE TABLE sources (
    business_id       BYTEA NOT NULL REFERENCES businesses (id),
    id                BYTEA NOT NULL CHECK (length(id) = 16),
    kind              TEXT COLLATE "C" NOT NULL CHECK (kind IN ('twilio')),
    name              TEXT COLLATE "C" NOT NULL,
    token_hash        BYTEA NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    token_sealed      BYTEA NOT NULL,
    auth_token_sealed BYTEA NOT NULL,
    dial              INTEGER NOT NULL CHECK (dial IN (0, 1)),
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    PRIMARY KEY (business_id, id)
);

-- A call of a phone system that reports it leg by leg, until it is one.
CREATE TABLE source_calls (
    business_id    BYTEA NOT NULL,
    source_id      BYTEA NOT NULL,
    source_call_id TEXT COLLATE "C" NOT NULL,
    state_sealed   BYTEA NOT NULL,
    due_at         BIGINT,
    updated_at     BIGINT NOT NULL,
    PRIMARY KEY (business_id, source_id, source_call_id)
);
CREATE INDEX source_calls_by_due ON source_calls (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX source_calls_by_age ON source_calls (updated_at);

-- A keyed hash of an erased call's source and source id: a late repeat of its report neither revives nor fires it.
CREATE TABLE tombstones (
    business_id BYTEA NOT NULL,
    hash        BYTEA NOT NULL CHECK (length(hash) = 32),
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (business_id, hash)
);

-- Work on more rows than one transaction may change; goes on in steps, also after a restart.
CREATE TABLE jobs (
    business_id BYTEA NOT NULL,
    id          BYTEA NOT NULL CHECK (length(id) = 16),
    spec        TEXT COLLATE "C" NOT NULL,
    cursor      BYTEA,
    created_at  BIGINT NOT NULL,
    not_before  BIGINT NOT NULL,
    PRIMARY KEY (business_id, id)
);

-- Who works on this schema. It counts its beats; one that stands still is gone.
CREATE TABLE holder (
    only_one INTEGER NOT NULL PRIMARY KEY CHECK (only_one = 1),
    token    BYTEA NOT NULL CHECK (length(token) = 16),
    process  BIGINT NOT NULL,
    host     TEXT COLLATE "C" NOT NULL,
    system   TEXT COLLATE "C" NOT NULL,
    beat     BIGINT NOT NULL
);
