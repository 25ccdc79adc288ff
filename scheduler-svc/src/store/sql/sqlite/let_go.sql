-- Apart from saves, most of which keep the lease and with it the index as it is.
UPDATE operation SET holder = zeroblob(16), due_at = ?2 WHERE id = ?1
