-- Texts that rows name by their content hash (`digest`, 32 bytes). A row of `texts` states where a text is and how
-- many rows and items name it; a text without a use is removed. It is small, because it changes with every use.
CREATE TABLE IF NOT EXISTS texts (
    digest BLOB PRIMARY KEY,
    body_id INTEGER NOT NULL,
    uses INTEGER NOT NULL
) WITHOUT ROWID;

-- `is_item`: the body is an item of a list in JSON, which may name further texts. A body is a text, or a blob that
-- holds the text deflated (RFC 1951).
CREATE TABLE IF NOT EXISTS text_bodies (
    id INTEGER PRIMARY KEY,
    is_item INTEGER NOT NULL,
    body BLOB NOT NULL
);
