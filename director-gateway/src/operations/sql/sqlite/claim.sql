-- Claims rows that are overdue for sending. ?1: at most so many; ?2: for at most so many
-- microseconds. The next send is 5 s later, doubling to 6 h.
UPDATE outbox
SET sends = sends + 1,
    send_at = CAST(unixepoch('subsec') * 1000000 AS integer) + min(5000000 << min(sends, 12), 21600000000)
WHERE operation_id IN (
    SELECT operation_id
    FROM outbox
    WHERE send_at <= CAST(unixepoch('subsec') * 1000000 AS integer)
        AND send_at >= CAST(unixepoch('subsec') * 1000000 AS integer) - ?2
    LIMIT ?1
)
RETURNING operation_id, spec, definitions
