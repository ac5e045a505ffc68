-- Purchases of each day.
select
    dt,
    count(*) as purchases,
    count(distinct user_id) as buyers,
    round(sum(amount), 2) as revenue
from {{ ref('stg_events') }}
where event_type = 'purchase'
group by all
order by all
