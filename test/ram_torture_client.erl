%% Clients of a torture run. They live on the nodes, call the public API, and write down what they
%% asked and what they were told.
%%
%% A client's file holds a line before each call and a line after it, in the format of ram-check:
%%
%%     # node NAME
%%     i OP read KEY T | i OP write KEY VALUE T | i OP delete KEY T
%%     i OP swap KEY NEW T | i OP add KEY N T | i OP cas KEY EXPECT NEW T
%%     r OP ok [VALUE] T | r OP conflict T | r OP unknown T | r OP failed T
%%
%% What else they do is in modules of this behaviour, each with words of its own for these lines,
%% and a judge of its own in ram-check: several keys at once (ram_torture_tables), which all clients
%% do now and then; keys with a time to live (ram_torture_expiring), locks (ram_torture_owning),
%% names of processes (ram_torture_naming) and writes that watches are told of
%% (ram_torture_watched), by clients that do nothing else. Another one is a module and its name in
%% workloads/0.
%%
%% Times are nanoseconds of the monotonic clock that all processes of the machine share. Lines go
%% straight to the kernel, so that they outlive kill -9 of the node. A call without an answer in
%% the file is one whose client died.
%%
%% Keys live for ten seconds; then all clients turn to others, so that the history of a key stays
%% short however long the run is. There are three kinds. Of `d' keys the value is read, written,
%% deleted and updated; the update is a write to the checker, since its fun cannot tell whether the
%% value it was given last was replaced or deleted meanwhile. They are taken, too, and written on
%% the condition that they hold what the client saw last. `s' keys are never deleted, so there
%% an update is a swap: the last value the fun was given is the one that was replaced, and when it
%% was not called there was none. `n' keys are counters.
%%
%% Readers write nothing, and stay with one key of each ten seconds. On a node that is cut off all
%% others soon wait for a write of theirs, and so do reads of what is being written; a reader goes
%% on for as long as the node holds its lease.
-module(ram_torture_client).

-export([prepare/2, start/2, workloads/0, start_process/3, log_to/1, running/0, mark/2, read_all/4,
         now_ns/0, keys/2, crashes/1]).
-export_type([ask/0]).

-define(EPOCH_NS, 10000000000).
%% A file never grows to the limit on files that stands for a full disk.
-define(FILE_OPERATIONS_MAX, 2000).
-define(PAUSE_MS_MAX, 12).
-define(REFUSED_PAUSE_MS, 50).
-define(ONE_OF_SO_MANY_IS_OF_TABLES, 4).

-type plan() :: #{folder := string(), from_ns := integer(), until_ns := integer(),
                  seed := integer(), role => reader | module(), pause_ms_max => pos_integer()}.
-type told() :: ok | {ok, term()} | conflict | unknown | failed.
%% Does an operation and writes it down.
-type ask() :: fun((Operation :: term()) -> told()).

%% Before any client begins.
-callback create(Seed :: integer()) -> ok.
-callback opening() -> [Operation :: term()].
%% What a client of this name does next, so long after the run began.
-callback operation(Client :: string(), PassedNs :: non_neg_integer()) -> Operation :: term().
%% The words of a line, and those of what was answered.
-callback words(Operation :: term()) -> [binary()].
-callback answer(Operation :: term(), Found :: term()) -> [binary()].
%% `failed' when certainly nothing happened. What ram raises is not caught.
-callback perform(Operation :: term()) -> told().
%% When all faults are healed and all clients have ended, on each node: shows what came of it.
-callback last(ask(), PassedNs :: non_neg_integer()) -> ok.

%% @doc What is done besides single keys: by how many clients of its own a node, how fast.
-spec workloads() -> [{module(), Clients :: non_neg_integer(), PauseMsMax :: pos_integer()}].
workloads() ->
    [{ram_torture_tables, 0, ?PAUSE_MS_MAX},
     {ram_torture_expiring, 2, ?PAUSE_MS_MAX},
     {ram_torture_watched, 1, 5 * ?PAUSE_MS_MAX},
     {ram_torture_owning, 2, 2 * ?PAUSE_MS_MAX},
     {ram_torture_naming, 2, 2 * ?PAUSE_MS_MAX}].

modules() -> [Module || {Module, _, _} <- workloads()].

%% @doc Makes the tables and opens the bank, before any client begins.
-spec prepare(string(), integer()) -> ok.
prepare(Folder, Seed) ->
    lists:foreach(fun(Module) -> ok = Module:create(Seed) end, modules()),
    with_file(Folder, "opening", fun(Ask) ->
        [ok = Ask({Module, Operation}) || Module <- modules(), Operation <- Module:opening()],
        ok
    end).

%% @doc Starts clients with these names on this node. They end by themselves.
-spec start([string()], plan()) -> ok.
start(Names, Plan) ->
    #{folder := Folder, seed := Seed} = Plan,
    Run = fun(Name) ->
                  _ = rand:seed(exsss, {Seed, erlang:phash2(Name), 1}),
                  run(Name, 1, Plan)
          end,
    Start = fun(Name) -> start_process("ram_client_" ++ Name, Folder, fun() -> Run(Name) end) end,
    lists:foreach(Start, Names).

%% @doc A process of this name; if it crashes the run has failed.
-spec start_process(string(), string(), fun(() -> term())) -> ok.
start_process(Name, Folder, Run) ->
    _ = spawn(fun() ->
                      register(list_to_atom(Name), self()),
                      try Run()
                      catch Class:Reason:Stack -> crashed(Name, Folder, {Class, Reason, Stack})
                      end
              end),
    ok.

%% @doc From now on this node logs into a file.
log_to(File) ->
    _ = logger:remove_handler(default),
    logger:add_handler(default, logger_std_h, #{config => #{file => File}}).

%% @doc How many clients this node runs.
running() ->
    length([Name || Name <- registered(), lists:prefix("ram_client_", atom_to_list(Name))]).

now_ns() ->
    os:perf_counter(nanosecond).

%% What the API must not do.
crashed(Name, Folder, What) ->
    File = filename:join(Folder, Name ++ ".crash"),
    ok = file:write_file(File, io_lib:format("~p~n", [What])).

%% @doc Which clients of a run crashed, and how.
-spec crashes(string()) -> [{string(), binary()}].
crashes(Folder) ->
    [{filename:basename(File), element(2, file:read_file(File))}
     || File <- filelib:wildcard(filename:join(Folder, "*.crash"))].

%% One file after the other.
run(Name, Part, #{folder := Folder} = Plan) ->
    Client = Name ++ "." ++ integer_to_list(Part),
    File = open(Folder, Client),
    Next = operations(1, {File, Client}, Plan),
    ok = file:close(File),
    Next =:= more andalso run(Name, Part + 1, Plan).

open(Folder, Client) ->
    {ok, File} = file:open(filename:join(Folder, Client ++ ".history"), [raw, append]),
    ok = file:write(File, ["# node ", atom_to_list(node()), $\n]),
    File.

operations(Op, _Client, _Plan) when Op > ?FILE_OPERATIONS_MAX ->
    more;
operations(Op, {File, Client}, #{until_ns := Until} = Plan) ->
    case now_ns() >= Until of
        true ->
            done;
        false ->
            Value = iolist_to_binary([Client, $-, integer_to_binary(Op)]),
            pause(call(File, Op, operation(Client, Value, Plan)), Plan),
            operations(Op + 1, {File, Client}, Plan)
    end.

pause(failed, _Plan) ->
    receive after ?REFUSED_PAUSE_MS -> ok end;
pause(_Told, Plan) ->
    receive after rand:uniform(maps:get(pause_ms_max, Plan, ?PAUSE_MS_MAX)) -> ok end.

operation(Client, _Value, #{role := reader} = Plan) ->
    Epoch = epoch(Plan),
    Names = names(),
    {read, key(lists:nth(1 + erlang:phash2({Client, Epoch}, length(Names)), Names), Epoch)};
operation(Client, _Value, #{role := Module, from_ns := From}) ->
    {Module, Module:operation(Client, now_ns() - From)};
operation(Client, Value, #{from_ns := From} = Plan) ->
    case rand:uniform(?ONE_OF_SO_MANY_IS_OF_TABLES) of
        1 -> {ram_torture_tables, ram_torture_tables:operation(Client, now_ns() - From)};
        _ -> of_key(Value, Plan)
    end.

of_key(Value, Plan) ->
    Names = names(),
    with_key(key(lists:nth(rand:uniform(length(Names)), Names), epoch(Plan)), Value).

epoch(#{from_ns := From}) -> (now_ns() - From) div ?EPOCH_NS.

names() -> ["d1", "d2", "s1", "s2", "n1", "n2"].

key(Name, Epoch) ->
    iolist_to_binary([Name, $., integer_to_binary(Epoch)]).

%% @doc All keys of a run that began and ended then.
keys(FromNs, UntilNs) ->
    [key(Name, Epoch) || Epoch <- lists:seq(0, (UntilNs - FromNs) div ?EPOCH_NS), Name <- names()].

with_key(<<"d", _/binary>> = Key, Value) ->
    case rand:uniform(20) of
        N when N =< 8 -> {read, Key};
        N when N =< 11 -> {write, Key, Value};
        N when N =< 13 -> {delete, Key};
        14 -> {take, Key};
        N when N =< 17 -> compared(Key, get(seen), Value);
        _ -> {rewrite, Key, Value}
    end;
with_key(<<"s", _/binary>> = Key, Value) ->
    case rand:uniform(20) of
        N when N =< 8 -> {read, Key};
        N when N =< 12 -> {write, Key, Value};
        _ -> {swap, Key, Value}
    end;
with_key(<<"n", _/binary>> = Key, _Value) ->
    case rand:uniform(20) of
        N when N =< 8 -> {read, Key};
        N when N =< 14 -> {count, Key};
        _ -> {add, Key}
    end.

%% With what the client has read last, if that was of this key.
compared(Key, {Key, Seen}, Value) -> {cas, Key, Seen, Value};
compared(Key, _, Value) -> {cas, Key, absent, Value}.

call(File, Op, Operation) ->
    Number = integer_to_binary(Op),
    ok = file:write(File, line([$i, Number | words(Operation)])),
    Told = told(Operation),
    ok = file:write(File, line([$r, Number | answered(Operation, Told)])),
    Told.

words({read, Key}) -> [<<"read">>, Key];
words({write, Key, Value}) -> [<<"write">>, Key, Value];
words({rewrite, Key, Value}) -> [<<"write">>, Key, Value];
words({delete, Key}) -> [<<"delete">>, Key];
words({swap, Key, Value}) -> [<<"swap">>, Key, Value];
words({take, Key}) -> [<<"swap">>, Key, <<"-">>];
words({cas, Key, Seen, Value}) -> [<<"cas">>, Key, token(Seen), Value];
words({Add, Key}) when Add =:= add; Add =:= count -> [<<"add">>, Key, <<"1">>];
words({Module, Operation}) -> Module:words(Operation).

answered({Module, Operation}, {ok, Found}) when not is_binary(Operation) ->
    [<<"ok">> | Module:answer(Operation, Found)];
answered(_Operation, Told) ->
    answer(Told).

answer({ok, Value}) -> [<<"ok">>, token(Value)];
answer(ok) -> [<<"ok">>];
answer(conflict) -> [<<"conflict">>];
answer(unknown) -> [<<"unknown">>];
answer(failed) -> [<<"failed">>].

token(absent) -> <<"-">>;
token(Value) when is_integer(Value) -> integer_to_binary(Value);
token(Value) when is_binary(Value) -> Value.

line(Words) ->
    lists:join($\s, Words ++ [integer_to_binary(now_ns())]) ++ [$\n].

%% What the documentation of ram says of each reason; anything else is a crash.
told(Operation) ->
    try perform(Operation)
    catch
        error:{timeout, {ram, Node}} when Node =:= node() -> unknown;
        error:{overloaded, {ram, Node}} when Node =:= node() -> failed;
        error:noproc -> failed;
        error:{expired, _Revision} -> failed
    end.

perform({read, Key}) ->
    Value = case rand:uniform(2) of
                1 -> ram:get(Key, absent);
                2 -> value(ram:fetch(Key))
            end,
    _ = put(seen, {Key, Value}),
    {ok, Value};
perform({take, Key}) ->
    {ok, value(ram:take(Key))};
perform({cas, Key, Seen, Value}) ->
    cas(rand:uniform(2), Key, Seen, Value);
perform({count, Key}) ->
    case rand:uniform(2) of
        1 -> {ok, ram:update_counter(Key, 1)};
        2 -> {true, [N], _} = ram:txn([], [{update_counter, Key, 1}], []), {ok, N}
    end;
perform({write, Key, Value}) ->
    ram:put(Key, Value);
perform({delete, Key}) ->
    ram:delete(Key);
perform({rewrite, Key, Value}) ->
    ram:update(Key, Value, fun(_) -> Value end);
perform({swap, Key, Value}) ->
    put(replaced, absent),
    ok = ram:update(Key, Value, fun(Old) -> put(replaced, Old), Value end),
    {ok, get(replaced)};
perform({add, Key}) ->
    ram:update(Key, 1, fun(N) -> N + 1 end);
perform({Module, Operation}) ->
    Module:perform(Operation).

value({ok, Value}) -> Value;
value(error) -> absent.

cas(1, Key, Seen, Value) ->
    Expected = case Seen of absent -> absent; _ -> {value, Seen} end,
    case ram:cas(Key, Expected, Value) of
        {ok, _Revision} -> ok;
        {conflict, _Current} -> conflict
    end;
cas(2, Key, Seen, Value) ->
    Condition = case Seen of absent -> {Key, absent}; _ -> {Key, '=:=', Seen} end,
    case ram:txn([Condition], [{put, Key, Value}], []) of
        {true, _, _} -> ok;
        {false, _, _} -> conflict
    end.

%% @doc Makes the last write that watches are told of, as a client of this name; its revision.
-spec mark(string(), string()) -> ram:rev().
mark(Name, Folder) ->
    with_file(Folder, Name, fun(Ask) ->
        ram_torture_watched:mark(of_module(ram_torture_watched, Ask))
    end).

%% @doc Reads all once that a run of these times has written, at its end, as a client of this name,
%% and lets the other workloads come to their ends.
-spec read_all(string(), string(), integer(), integer()) -> ok.
read_all(Name, Folder, FromNs, UntilNs) ->
    with_file(Folder, Name, fun(Ask) ->
        lists:foreach(Ask, [{read, Key} || Key <- keys(FromNs, UntilNs)]),
        Last = fun(Module) -> ok = Module:last(of_module(Module, Ask), UntilNs - FromNs) end,
        lists:foreach(Last, modules())
    end).

of_module(Module, Ask) ->
    fun(Operation) -> Ask({Module, Operation}) end.

with_file(Folder, Name, Do) ->
    File = open(Folder, Name),
    Count = counters:new(1, []),
    Done = Do(fun(Operation) ->
                      ok = counters:add(Count, 1, 1),
                      call(File, counters:get(Count, 1), Operation)
              end),
    ok = file:close(File),
    Done.
