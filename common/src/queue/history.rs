/// SQL for a job's `errors` with one more entry, the last ten kept: `$reason` is an expression for what went wrong.
macro_rules! append_error {
    ($reason:literal) => {
        concat!(
            "(CASE WHEN jsonb_array_length(errors) >= 10 THEN errors - 0 ELSE errors END)
             || jsonb_build_object('at', now(), 'attempt', attempts, 'error', ",
            $reason,
            ")"
        )
    };
}

pub(super) use append_error;
