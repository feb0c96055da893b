-- People who sign in. E-mail addresses are in lower case; of tokens a hash is kept.
CREATE TABLE users (
    id             BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email          TEXT COLLATE "C" NOT NULL UNIQUE,
    name           TEXT COLLATE "C" NOT NULL,
    password_hash  TEXT COLLATE "C" NOT NULL,
    totp_sealed    BYTEA,
    totp_used_step BIGINT,
    created_at     BIGINT NOT NULL,
    CHECK (totp_used_step IS NULL OR totp_sealed IS NOT NULL)
);

CREATE TABLE memberships (
    user_id     BYTEA NOT NULL REFERENCES users (id),
    business_id BYTEA NOT NULL REFERENCES businesses (id),
    role        TEXT COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'member', 'admin')),
    PRIMARY KEY (user_id, business_id)
);
CREATE INDEX memberships_by_business ON memberships (business_id);

CREATE TABLE invitations (
    business_id BYTEA NOT NULL REFERENCES businesses (id),
    id          BYTEA NOT NULL CHECK (length(id) = 16),
    email       TEXT COLLATE "C" NOT NULL,
    role        TEXT COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'member', 'admin')),
    token_hash  BYTEA NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    invited_by  BYTEA REFERENCES users (id),
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (business_id, id),
    UNIQUE (business_id, email)
);
CREATE INDEX invitations_by_end ON invitations (expires_at);

CREATE TABLE sessions (
    user_id      BYTEA NOT NULL REFERENCES users (id),
    id           BYTEA NOT NULL CHECK (length(id) = 16),
    token_hash   BYTEA NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created_at   BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    address      TEXT COLLATE "C" NOT NULL,
    user_agent   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, id)
);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Links that open something once: the first user's, and a user's to another password.
CREATE TABLE sign_in_links (
    token_hash   BYTEA NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    kind         TEXT COLLATE "C" NOT NULL CHECK (kind IN ('setup', 'reset')),
    user_id      BYTEA REFERENCES users (id),
    removes_totp INTEGER NOT NULL CHECK (removes_totp IN (0, 1)),
    expires_at   BIGINT NOT NULL,
    CHECK ((kind = 'reset') = (user_id IS NOT NULL))
);
CREATE INDEX sign_in_links_by_user ON sign_in_links (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX sign_in_links_by_end ON sign_in_links (expires_at);
