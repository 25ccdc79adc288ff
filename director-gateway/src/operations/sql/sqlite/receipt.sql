-- An outcome that was applied earlier.
SELECT succeeded, error, detail FROM receipt WHERE operation_id = ?1
