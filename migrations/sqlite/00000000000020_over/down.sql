DROP INDEX subscriptions_over;
