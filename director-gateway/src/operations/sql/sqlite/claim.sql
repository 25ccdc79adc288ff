-- Claims rows that are overdue for sending. ?1: at most so many. The next send is 5 s later, doubling to 6 h.
UPDATE outbox
SET sends = sends + 1,
    send_at = CAST(unixepoch('subsec') * 1000000 AS integer) + min(5000000 << min(sends, 12), 21600000000)
WHERE operation_id IN (
    SELECT operation_id
    FROM outbox
    WHERE send_at <= CAST(unixepoch('subsec') * 1000000 AS integer)
    LIMIT ?1
)
RETURNING operation_id, spec, definitions
