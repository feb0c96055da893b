-- Sendings again of all that match a filter: each is counted with every step of the job of the same id, and outlives it. Who has begun
-- it is no reference: a person who is removed is named no more, and what was done stays.
CREATE TABLE redeliveries (
    business_id     BYTEA NOT NULL REFERENCES businesses (id),
    id              BYTEA NOT NULL CHECK (length(id) = 16),
    filter          TEXT COLLATE "C" NOT NULL,
    user_id         BYTEA,
    api_key_id      BYTEA,
    estimated       BIGINT NOT NULL CHECK (estimated >= 0),
    matched         BIGINT NOT NULL CHECK (matched >= estimated),
    redelivered     BIGINT NOT NULL DEFAULT 0 CHECK (redelivered >= 0),
    tests           BIGINT NOT NULL DEFAULT 0 CHECK (tests >= 0),
    pending         BIGINT NOT NULL DEFAULT 0 CHECK (pending >= 0),
    switched_off    BIGINT NOT NULL DEFAULT 0 CHECK (switched_off >= 0),
    without_payload BIGINT NOT NULL DEFAULT 0 CHECK (without_payload >= 0),
    unreadable      BIGINT NOT NULL DEFAULT 0 CHECK (unreadable >= 0),
    ended_at        BIGINT,
    PRIMARY KEY (business_id, id),
    CHECK (user_id IS NULL OR api_key_id IS NULL)
);
CREATE INDEX redeliveries_by_end ON redeliveries (ended_at);
