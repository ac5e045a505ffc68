-- Each user who did anything: when first and last, how much, and what it brought.
select
    user_id,
    min(happened_at) as first_seen,
    max(happened_at) as last_seen,
    count(*) as events,
    count(*) filter (where event_type = 'purchase') as purchases,
    round(coalesce(sum(amount) filter (where event_type = 'purchase'), 0), 2) as lifetime_value
from {{ ref('stg_events') }}
where user_id is not null
group by all
order by user_id
