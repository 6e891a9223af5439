-- Texts that rows name by their content hash, with the number of rows and items that name them. `is_item`: the body
-- is an item of a list in JSON, which may name further texts. A body may hold a NUL, which `text` cannot.
CREATE TABLE texts (
    digest bytea PRIMARY KEY,
    is_item boolean NOT NULL,
    body bytea NOT NULL,
    uses bigint NOT NULL
);
CREATE INDEX texts_unused ON texts (digest) WHERE uses <= 0;
