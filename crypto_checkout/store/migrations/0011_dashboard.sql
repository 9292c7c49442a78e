-- Access to the dashboard: one account with its recovery codes and logins, and the audit trail.

CREATE TABLE admin (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    password_hash TEXT NOT NULL,
    password_set_at TEXT NOT NULL,
    -- Null while no second factor is asked for.
    totp_secret TEXT,
    -- The newest time step whose code was taken: each code counts once (RFC 6238, section 5.2).
    totp_step INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE recovery_codes (
    sha256 TEXT PRIMARY KEY,
    used_at TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE logins (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    -- When the password was last given.
    confirmed_at TEXT NOT NULL
) STRICT;

CREATE INDEX logins_by_age ON logins (created_at);

-- Browsers that have signed in before: failed attempts elsewhere don't count against them.
CREATE TABLE known_browsers (
    sha256 TEXT PRIMARY KEY,
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX known_browsers_by_age ON known_browsers (created_at);

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    actor TEXT NOT NULL CHECK (actor IN ('owner', 'command_line', 'visitor')),
    login_id TEXT,
    address TEXT,
    action TEXT NOT NULL,
    livemode INTEGER CHECK (livemode IN (0, 1)),
    subject TEXT,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_action ON audit (action, at);
