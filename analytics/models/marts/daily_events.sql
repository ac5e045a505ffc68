-- Events of each day by type and source, and how many users were behind them.
select
    dt,
    event_type,
    source,
    count(*) as events,
    count(distinct user_id) as users
from {{ ref('stg_events') }}
group by all
order by all
