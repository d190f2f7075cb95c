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
%% What they do with several keys at once is in ram_torture_tables.
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

-export([prepare/2, start/2, log_to/1, running/0, read_all/4, now_ns/0, keys/2, crashes/1]).

-define(EPOCH_NS, 10000000000).
%% A file never grows to the limit on files that stands for a full disk.
-define(FILE_OPERATIONS_MAX, 2000).
-define(PAUSE_MS_MAX, 12).
-define(REFUSED_PAUSE_MS, 50).
-define(ONE_OF_SO_MANY_IS_OF_TABLES, 4).

-type plan() :: #{folder := string(), from_ns := integer(), until_ns := integer(),
                  seed := integer(), role => reader}.

%% @doc Makes the tables and opens the bank, before any client begins.
-spec prepare(string(), integer()) -> ok.
prepare(Folder, Seed) ->
    ok = ram_torture_tables:create(Seed),
    File = open(Folder, "opening"),
    ok = call(File, 1, {tables, ram_torture_tables:opening()}),
    file:close(File).

%% @doc Starts clients with these names on this node. They end by themselves.
-spec start([string()], plan()) -> ok.
start(Names, Plan) ->
    Run = fun(Name) ->
                  register(list_to_atom("ram_client_" ++ Name), self()),
                  _ = rand:seed(exsss, {maps:get(seed, Plan), erlang:phash2(Name), 1}),
                  try run(Name, 1, Plan)
                  catch Class:Reason:Stack -> crashed(Name, Plan, {Class, Reason, Stack})
                  end
          end,
    lists:foreach(fun(Name) -> spawn(fun() -> Run(Name) end) end, Names).

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
crashed(Name, Plan, What) ->
    File = filename:join(maps:get(folder, Plan), Name ++ ".crash"),
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
            Told = call(File, Op, operation(Client, Value, Plan)),
            pause(Told),
            operations(Op + 1, {File, Client}, Plan)
    end.

pause(failed) -> receive after ?REFUSED_PAUSE_MS -> ok end;
pause(_) -> receive after rand:uniform(?PAUSE_MS_MAX) -> ok end.

operation(Client, _Value, #{role := reader} = Plan) ->
    Epoch = epoch(Plan),
    Names = names(),
    {read, key(lists:nth(1 + erlang:phash2({Client, Epoch}, length(Names)), Names), Epoch)};
operation(Client, Value, #{from_ns := From} = Plan) ->
    case rand:uniform(?ONE_OF_SO_MANY_IS_OF_TABLES) of
        1 -> {tables, ram_torture_tables:operation(Client, now_ns() - From)};
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
    case Told of failed -> failed; _ -> ok end.

words({read, Key}) -> [<<"read">>, Key];
words({write, Key, Value}) -> [<<"write">>, Key, Value];
words({rewrite, Key, Value}) -> [<<"write">>, Key, Value];
words({delete, Key}) -> [<<"delete">>, Key];
words({swap, Key, Value}) -> [<<"swap">>, Key, Value];
words({take, Key}) -> [<<"swap">>, Key, <<"-">>];
words({cas, Key, Seen, Value}) -> [<<"cas">>, Key, token(Seen), Value];
words({tables, Operation}) -> ram_torture_tables:words(Operation);
words({Add, Key}) when Add =:= add; Add =:= count -> [<<"add">>, Key, <<"1">>].

answered({tables, Operation}, {ok, Found}) ->
    [<<"ok">> | ram_torture_tables:answer(Operation, Found)];
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

perform({tables, Operation}) ->
    ram_torture_tables:perform(Operation);
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
    ram:update(Key, 1, fun(N) -> N + 1 end).

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

%% @doc Reads all once that a run of these times has written, at its end, as a client of this name.
-spec read_all(string(), string(), integer(), integer()) -> ok.
read_all(Name, Folder, FromNs, UntilNs) ->
    File = open(Folder, Name),
    Operations = [{read, Key} || Key <- keys(FromNs, UntilNs)]
        ++ [{tables, Last} || Last <- ram_torture_tables:last(UntilNs - FromNs)],
    Do = fun(Operation, Op) -> _ = call(File, Op, Operation), Op + 1 end,
    _ = lists:foldl(Do, 1, Operations),
    file:close(File).
