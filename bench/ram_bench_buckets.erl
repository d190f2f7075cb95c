%% Counts of latencies in bounded memory: buckets that are at most 1 % wide, from one nanosecond to
%% a minute, 30 KB for each worker.
%%
%% A latency below 256 has a bucket of its own. A larger one is halved until it is, and what is left
%% of it, 128 to 255, is its place among the 128 buckets of that number of halvings. So finding the
%% bucket takes a few instructions and no logarithm, and costs a lookup of ets next to nothing.
-module(ram_bench_buckets).

-export([new/0, count/2, counted/1, merge/1, total/1, percentile/2]).
-export_type([counted/0]).

%% Buckets that are not empty, in their order.
-type counted() :: [{Bucket :: non_neg_integer(), Count :: pos_integer()}].

-define(STEPS, 128).
-define(BUCKETS, 30 * ?STEPS).

-spec new() -> counters:counters_ref().
new() ->
    counters:new(?BUCKETS, []).

-spec count(counters:counters_ref(), non_neg_integer()) -> ok.
count(Buckets, Latency) ->
    counters:add(Buckets, 1 + min(bucket(Latency, 0), ?BUCKETS - 1), 1).

bucket(Latency, First) when Latency < 2 * ?STEPS -> First + Latency;
bucket(Latency, First) -> bucket(Latency bsr 1, First + ?STEPS).

-spec counted(counters:counters_ref()) -> counted().
counted(Buckets) ->
    [{Bucket, Count} || Bucket <- lists:seq(0, ?BUCKETS - 1),
                        Count <- [counters:get(Buckets, 1 + Bucket)], Count > 0].

-spec merge([counted()]) -> counted().
merge(Many) ->
    Add = fun({Bucket, Count}, Sums) ->
                  maps:update_with(Bucket, fun(Sum) -> Sum + Count end, Count, Sums)
          end,
    lists:sort(maps:to_list(lists:foldl(Add, #{}, lists:append(Many)))).

-spec total(counted()) -> non_neg_integer().
total(Counted) ->
    lists:sum([Count || {_, Count} <- Counted]).

%% @doc The latency that so much of all (0.5, 0.99) did not exceed: the middle of its bucket.
-spec percentile(float(), counted()) -> non_neg_integer().
percentile(Share, [_ | _] = Counted) ->
    middle(bucket_of_rank(max(1, ceil(Share * total(Counted))), Counted)).

bucket_of_rank(Rank, [{_, Count} | [_ | _] = More]) when Rank > Count ->
    bucket_of_rank(Rank - Count, More);
bucket_of_rank(_Rank, [{Bucket, _} | _]) ->
    Bucket.

middle(Bucket) when Bucket < 2 * ?STEPS ->
    Bucket;
middle(Bucket) ->
    Halvings = Bucket div ?STEPS - 1,
    (?STEPS + Bucket rem ?STEPS) bsl Halvings + (1 bsl Halvings) div 2.
