SELECT what, share_percent FROM {{ ref('quality') }} WHERE what NOT IN ('not_json', 'other_structure') AND share_percent > 10
