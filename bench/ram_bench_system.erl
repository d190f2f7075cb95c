%% The systems that `make bench' compares, as they are on each node: how one is started and filled,
%% and the function a worker calls for each operation.
%%
%% mnesia has its table on all nodes as ram_copies, and its schema in memory too; its two names are
%% two ways to one table. The table of ets is each node's own: nothing is replicated, so it is what
%% a read could cost at best. It is made for concurrent use, which favours it.
-module(ram_bench_system).

-export([start_local/0, own_table/0, start/2, fill/2, call/3, position/1, counter/1, is_ram/1]).
-export_type([name/0, operation/0, value/0]).

%% `ram_quorum' is `ram_disk' without leases: reads ask a quorum.
-type name() :: ram_disk | ram_quorum | ram_memory | mnesia_dirty | mnesia_transaction | ets.
%% `hot_get' and `hot_put' are of one key; `mix' is 95 gets and 5 puts of 100. `counter' is update/3
%% of the key that `update_counter' counts too. `put_ttl' gives a time to live. `put_many' is of
%% three keys, `txn' has a condition for each of them besides; `ordered_get' is of a table that
%% keeps its keys in order.
-type operation() :: put | put_ttl | get | mix | counter | update_counter | put_many | txn
                   | ordered_get | hot_get | hot_put.
%% A binary of so many bytes, a nested term of 50 words, or one with nine atoms.
-type value() :: 16 | 1024 | term | atoms.

-define(KEYS, 10000).
-define(CHUNK, 500).
%% Nothing expires while a benchmark runs.
-define(TTL_MS, 360000000).
-define(TABLE, ?MODULE).
-define(ETS, ram_bench_ets).
-define(ETS_ORDERED, ram_bench_ets_ordered).
-define(ORDERED, #{table => ordered}).
-define(IS_RAM(System), (System =:= ram_disk orelse System =:= ram_quorum
                         orelse System =:= ram_memory)).

-spec is_ram(name()) -> boolean().
is_ram(System) -> ?IS_RAM(System).

%% @doc On each node that has mnesia and ets, before start/2.
-spec start_local() -> ok.
start_local() ->
    {ok, _Owner} = proc_lib:start(?MODULE, own_table, []),
    mnesia:start().

%% @doc The table lives as long as its owner.
-spec own_table() -> ok.
own_table() ->
    ?ETS = ets:new(?ETS, [set, public, named_table,
                          {read_concurrency, true}, {write_concurrency, true}]),
    ?ETS_ORDERED = ets:new(?ETS_ORDERED, [ordered_set, public, named_table,
                                          {read_concurrency, true}, {write_concurrency, true}]),
    ok = proc_lib:init_ack({ok, self()}),
    receive stop -> ok end.

%% @doc On the first of the nodes, for all of them.
-spec start(ram_disk | ram_quorum | ram_memory | mnesia, [node()]) -> ok.
start(System, Nodes) when ?IS_RAM(System) ->
    Storage = case System of ram_memory -> memory; _ -> disk end,
    ok = ram:start_cluster(Nodes, #{storage => Storage}),
    ram:create_table(ordered, #{type => ordered_set});
start(mnesia, [_ | Others] = Nodes) ->
    {ok, Joined} = mnesia:change_config(extra_db_nodes, Others),
    [] = Others -- Joined,
    {atomic, ok} = mnesia:create_table(?TABLE, [{ram_copies, Nodes}]),
    [] = Nodes -- mnesia:table_info(?TABLE, ram_copies),
    ok.

%% @doc Every key of the key space gets the value.
-spec fill(name(), value()) -> ok.
fill(System, Kind) when ?IS_RAM(System) ->
    Value = value(Kind),
    ok = ram:put(hot, Value),
    [ok = ram:put_many([{Key, Value} || Key <- lists:seq(First, First + ?CHUNK - 1)], Table)
     || First <- lists:seq(1, ?KEYS, ?CHUNK), Table <- [#{}, ?ORDERED]],
    ok;
fill(ets, Kind) ->
    [lists:foreach(call(ets, Put, Kind), lists:seq(1, ?KEYS)) || Put <- [put, ordered_put]],
    ok;
fill(System, Kind) ->
    Put = call(System, put, Kind),
    lists:foreach(Put, lists:seq(1, ?KEYS)).

%% @doc What a worker calls with a random number, again and again; it fails unless it is answered
%% as it should.
-spec call(name(), operation() | ordered_put, value()) -> fun((non_neg_integer()) -> term()).
call(System, mix, Kind) ->
    {Get, Put} = {call(System, get, Kind), call(System, put, Kind)},
    %% Of other digits than those that make the key.
    fun(N) when (N bsr 32) rem 20 =:= 0 -> Put(N);
       (N) -> Get(N)
    end;
call(System, Operation, Kind) when ?IS_RAM(System) ->
    ram(Operation, value(Kind));
call(mnesia_dirty, Operation, Kind) ->
    mnesia_dirty(Operation, value(Kind));
call(mnesia_transaction, Operation, Kind) ->
    Do = mnesia_inside(Operation, value(Kind)),
    fun(N) -> {atomic, ok} = mnesia:transaction(Do, [N]) end;
call(ets, put, Kind) ->
    Value = value(Kind),
    fun(N) -> true = ets:insert(?ETS, {key(N), own(Value)}) end;
call(ets, ordered_put, Kind) ->
    Value = value(Kind),
    fun(N) -> true = ets:insert(?ETS_ORDERED, {key(N), own(Value)}) end;
call(ets, ordered_get, _Kind) ->
    fun(N) -> [_] = ets:lookup(?ETS_ORDERED, key(N)) end;
call(ets, get, _Kind) ->
    fun(N) -> [_] = ets:lookup(?ETS, key(N)) end.

ram(put, Value) -> fun(N) -> ok = ram:put(key(N), own(Value)) end;
ram(put_ttl, Value) -> fun(N) -> ok = ram:put(key(N), own(Value), #{ttl => ?TTL_MS}) end;
ram(get, _Value) -> fun(N) -> true = ram:get(key(N)) =/= undefined end;
ram(ordered_get, _Value) ->
    fun(N) -> true = ram:get(key(N), undefined, ?ORDERED) =/= undefined end;
ram(put_many, Value) ->
    fun(N) -> ok = ram:put_many([{Key, own(Value)} || Key <- three(N)]) end;
ram(txn, Value) ->
    fun(N) ->
            Keys = three(N),
            {true, [ok, ok, ok], _Rev} = ram:txn([{Key, present} || Key <- Keys],
                                                 [{put, Key, own(Value)} || Key <- Keys], [])
    end;
ram(update_counter, _Value) -> fun(_N) -> true = is_integer(ram:update_counter(counter, 1)) end;
ram(hot_put, Value) -> fun(_N) -> ok = ram:put(hot, Value) end;
ram(hot_get, _Value) -> fun(_N) -> true = ram:get(hot) =/= undefined end;
ram(counter, _Value) -> fun(_N) -> ok = ram:update(counter, 1, fun(Sum) -> Sum + 1 end) end.

mnesia_dirty(put, Value) ->
    fun(N) -> ok = mnesia:dirty_write({?TABLE, key(N), own(Value)}) end;
mnesia_dirty(get, _Value) -> fun(N) -> [_] = mnesia:dirty_read(?TABLE, key(N)) end;
mnesia_dirty(counter, _Value) -> fun(_N) -> mnesia:dirty_update_counter(?TABLE, counter, 1) end.

mnesia_inside(put, Value) ->
    fun(N) -> mnesia:write(?TABLE, {?TABLE, key(N), own(Value)}, write) end;
mnesia_inside(get, _Value) ->
    fun(N) -> [_] = mnesia:read(?TABLE, key(N), read), ok end;
mnesia_inside(counter, _Value) ->
    fun(_N) ->
            Sum = case mnesia:read(?TABLE, counter, write) of
                      [{_, _, Before}] -> Before + 1;
                      [] -> 1
                  end,
            mnesia:write(?TABLE, {?TABLE, counter, Sum}, write)
    end.

key(N) -> 1 + N rem ?KEYS.

%% Three keys that follow each other.
three(N) -> [key(N), key(N + 1), key(N + 2)].

%% As in use, every key has a binary of its own: one that all keys of an ets table share would
%% always be in the cache of the processor.
own(Value) when is_binary(Value) -> binary:copy(Value);
own(Value) -> Value.

value(term) -> [{N, -N} || N <- lists:seq(1, 10)];
value(atoms) -> [{name, node}, {role, leader}, {up, true}, {since, 7}, {reads, local}];
value(Bytes) -> binary:copy(<<7>>, Bytes).

%% @doc How far this node is with what it was sent. A system is at rest when all its nodes are at
%% the same position, and none is busy.
-spec position(name()) -> non_neg_integer() | busy.
position(System) when ?IS_RAM(System) ->
    maps:get(applied_index, ram:status());
position(ets) ->
    0;
position(_Mnesia) ->
    case process_info(whereis(mnesia_tm), message_queue_len) of
        {message_queue_len, 0} -> 0;
        {message_queue_len, _} -> busy
    end.

%% @doc What the hot counter shows on this node.
-spec counter(name()) -> non_neg_integer().
counter(System) when ?IS_RAM(System) ->
    ram:get(counter, 0);
counter(_Mnesia) ->
    lists:sum([Sum || {_, _, Sum} <- mnesia:dirty_read(?TABLE, counter)]).
