%% Whether what was measured took the whole path: what the members counted before and after.
%%
%% In a closed loop each worker has one write under way, so one log entry holds at most one write of
%% each worker, and one sync completes at most one of each. From this follows how many entries every
%% node has applied at least, and how many syncs a majority made, for the writes that were
%% acknowledged. Less than that means a short cut, and the figure is worth nothing.
-module(ram_bench_path).

-export([reading/0, check/3, disk_bytes/2, described/3]).
-export_type([reading/0, written/0]).

%% Of one node, since its start. `disk_bytes' is what the kernel took from it for a disk: nothing
%% when its files are on a file system in memory.
-type reading() :: #{syncs := non_neg_integer(), groups := non_neg_integer(),
                     index := non_neg_integer(), frames := non_neg_integer(),
                     %% Reads answered at once, after a wait, and by a quorum.
                     reads := {non_neg_integer(), non_neg_integer(), non_neg_integer()},
                     disk_bytes := non_neg_integer()}.
%% What was acknowledged, by how many workers on all nodes together.
-type written() :: #{storage := disk | memory, writes := non_neg_integer(),
                     workers := pos_integer()}.

%% @doc On a node.
-spec reading() -> reading().
reading() ->
    #{log := #{syncs := Syncs}, net := #{frames_sent := Frames}, applied_groups := Groups,
      last_log_index := Index,
      reads := #{local := Local, waited := Waited, quorum := Quorum}} = ram:status(),
    #{syncs => Syncs, groups => Groups, index => Index, frames => Frames,
      reads => {Local, Waited, Quorum},
      disk_bytes => disk_bytes()}.

%% Not every kernel tells.
disk_bytes() ->
    case file:read_file("/proc/self/io") of
        {ok, Io} ->
            {match, [Bytes]} = re:run(Io, "^write_bytes: ([0-9]+)",
                                      [multiline, {capture, all_but_first, binary}]),
            binary_to_integer(Bytes);
        {error, _} ->
            0
    end.

%% @doc The readings are those of all nodes, when all have applied the same.
-spec check(written(), [reading()], [reading()]) -> ok | {short_cut, iodata()}.
check(#{storage := Storage, writes := Writes, workers := Workers}, Before, After) ->
    Nodes = length(Before),
    Least = Writes / Workers,
    Majority = Nodes div 2 + 1,
    Short = [{"log entries written", lists:min(grown(index, Before, After)), Least},
             {"groups applied by the slowest node", lists:min(grown(groups, Before, After)), Least}
             | [{"syncs of all nodes", lists:sum(grown(syncs, Before, After)), Majority * Least}
                || Storage =:= disk]],
    case [Claim || {_, Grown, Wanted} = Claim <- Short, Grown < Wanted orelse Grown =< 0] of
        [] -> ok;
        [{What, Grown, Wanted} | _] ->
            {short_cut, io_lib:format("~s: ~b, but ~b acknowledged writes of ~b workers take ~b",
                                      [What, Grown, Writes, Workers, ceil(Wanted)])}
    end.

%% @doc What all nodes together gave to their disks.
-spec disk_bytes([reading()], [reading()]) -> non_neg_integer().
disk_bytes(Before, After) ->
    lists:sum(grown(disk_bytes, Before, After)).

grown(What, Before, After) ->
    [maps:get(What, A) - maps:get(What, B) || {B, A} <- lists:zip(Before, After)].

%% @doc In words; Operations is how many were answered.
-spec described(pos_integer(), [reading()], [reading()]) -> iodata().
described(Operations, Before, After) ->
    Sum = fun(What, Readings) -> lists:sum([maps:get(What, R) || R <- Readings]) end,
    Of = fun(What) ->
                 lists:join(" ", [integer_to_list(N) || N <- grown(What, Before, After)])
         end,
    {From, To} = {Sum(frames, Before), Sum(frames, After)},
    Last = fun(Readings) -> lists:max([maps:get(index, R) || R <- Readings]) end,
    Counts = fun(Way, Readings) -> [element(Way, maps:get(reads, R)) || R <- Readings] end,
    Reads = fun(Way) -> lists:sum(Counts(Way, After)) - lists:sum(Counts(Way, Before)) end,
    io_lib:format("syncs +(~s), groups applied +(~s), last log index ~b to ~b, "
                  "~.1f MB to disks, frames sent ~b to ~b (~.3f an operation), "
                  "reads at once +~b, after a wait +~b, by quorum +~b",
                  [Of(syncs), Of(groups), Last(Before), Last(After),
                   disk_bytes(Before, After) / 1.0e6, From, To, (To - From) / Operations,
                   Reads(1), Reads(2), Reads(3)]).
