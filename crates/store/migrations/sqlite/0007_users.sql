-- People who sign in. E-mail addresses are in lower case; of tokens a hash is kept.
CREATE TABLE users (
    id             BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email          TEXT NOT NULL UNIQUE,
    name           TEXT NOT NULL,
    password_hash  TEXT NOT NULL,
    totp_sealed    BLOB,
    totp_used_step INTEGER,
    created_at     INTEGER NOT NULL,
    CHECK (totp_used_step IS NULL OR totp_sealed IS NOT NULL)
) WITHOUT ROWID;

CREATE TABLE memberships (
    user_id     BLOB NOT NULL REFERENCES users (id),
    business_id BLOB NOT NULL REFERENCES businesses (id),
    role        TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'admin')),
    PRIMARY KEY (user_id, business_id)
) WITHOUT ROWID;
CREATE INDEX memberships_by_business ON memberships (business_id);

CREATE TABLE invitations (
    business_id BLOB NOT NULL REFERENCES businesses (id),
    id          BLOB NOT NULL CHECK (length(id) = 16),
    email       TEXT NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'admin')),
    token_hash  BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    invited_by  BLOB REFERENCES users (id),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (business_id, id),
    UNIQUE (business_id, email)
) WITHOUT ROWID;
CREATE INDEX invitations_by_end ON invitations (expires_at);

CREATE TABLE sessions (
    user_id      BLOB NOT NULL REFERENCES users (id),
    id           BLOB NOT NULL CHECK (length(id) = 16),
    token_hash   BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    address      TEXT NOT NULL,
    user_agent   TEXT NOT NULL,
    PRIMARY KEY (user_id, id)
) WITHOUT ROWID;
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Links that open something once: the first user's, and a user's to another password.
CREATE TABLE sign_in_links (
    token_hash   BLOB NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    kind         TEXT NOT NULL CHECK (kind IN ('setup', 'reset')),
    user_id      BLOB REFERENCES users (id),
    removes_totp INTEGER NOT NULL CHECK (removes_totp IN (0, 1)),
    expires_at   INTEGER NOT NULL,
    CHECK ((kind = 'reset') = (user_id IS NOT NULL))
) WITHOUT ROWID;
CREATE INDEX sign_in_links_by_user ON sign_in_links (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX sign_in_links_by_end ON sign_in_links (expires_at);
