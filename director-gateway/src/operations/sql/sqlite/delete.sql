DELETE FROM application WHERE rowid = ?1
