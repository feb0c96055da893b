-- Sendings again of all that match a filter: each is counted with every step of the job of the same id, and outlives it. Who has begun
-- it is no reference: a person who is removed is named no more, and what was done stays.
CREATE TABLE redeliveries (
    business_id     BLOB NOT NULL REFERENCES businesses (id),
    id              BLOB NOT NULL CHECK (length(id) = 16),
    filter          TEXT NOT NULL,
    user_id         BLOB,
    api_key_id      BLOB,
    estimated       INTEGER NOT NULL CHECK (estimated >= 0),
    matched         INTEGER NOT NULL CHECK (matched >= estimated),
    redelivered     INTEGER NOT NULL DEFAULT 0 CHECK (redelivered >= 0),
    tests           INTEGER NOT NULL DEFAULT 0 CHECK (tests >= 0),
    pending         INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
    switched_off    INTEGER NOT NULL DEFAULT 0 CHECK (switched_off >= 0),
    without_payload INTEGER NOT NULL DEFAULT 0 CHECK (without_payload >= 0),
    unreadable      INTEGER NOT NULL DEFAULT 0 CHECK (unreadable >= 0),
    ended_at        INTEGER,
    PRIMARY KEY (business_id, id),
    CHECK (user_id IS NULL OR api_key_id IS NULL)
) WITHOUT ROWID;
CREATE INDEX redeliveries_by_end ON redeliveries (ended_at);
