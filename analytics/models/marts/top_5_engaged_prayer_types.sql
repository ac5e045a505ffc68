-- The five prayer types with the most view, like and share events in each age group; ties by name.
-- It counts events: who likes one item three times counts three times. Sessions are counted by
-- top_5_prayer_types_per_age_group.
-- A prayer type is that of the event, else that of the content that the event names.
with counted as (
    select
        users.age_group,
        coalesce(events.prayer_type, content.prayer_type) as prayer_type,
        count(*) as event_count
    from {{ ref('stg_events') }} as events
    inner join {{ ref('stg_users') }} as users using (user_id)
    left join {{ ref('stg_content') }} as content using (content_id)
    where events.event_type in ('view', 'like', 'share')
    group by all
),

ranked as (
    select
        *,
        row_number() over (partition by age_group order by event_count desc, prayer_type) as age_group_rank
    from counted
    where age_group is not null and prayer_type is not null
)

select
    age_group,
    prayer_type,
    event_count,
    age_group_rank
from ranked
where age_group_rank <= 5
order by age_group, age_group_rank
