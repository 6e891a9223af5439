-- What agents keep in mind, for searching. The facts themselves are in the states; this follows them in
-- the same transactions. `owner` is the agent's id in hex: one word, whatever the id is made of.
CREATE VIRTUAL TABLE facts USING fts5(owner, text, version UNINDEXED, tokenize = 'unicode61 remove_diacritics 2');
