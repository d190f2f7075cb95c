%% Clients of a torture run. They live on the nodes, call the public API, and write down what they
%% asked and what they were told.
%%
%% A client's file holds a line before each call and a line after it, in the format of ram-check:
%%
%%     # node NAME
%%     i OP read KEY T | i OP write KEY VALUE T | i OP delete KEY T
%%     i OP swap KEY NEW T | i OP add KEY N T
%%     r OP ok [VALUE] T | r OP unknown T | r OP failed T
%%
%% Times are nanoseconds of the monotonic clock that all processes of the machine share. Lines go
%% straight to the kernel, so that they outlive kill -9 of the node. A call without an answer in
%% the file is one whose client died.
%%
%% Keys live for ten seconds; then all clients turn to others, so that the history of a key stays
%% short however long the run is. There are three kinds. Of `d' keys the value is read, written,
%% deleted and updated; the update is a write to the checker, since its fun cannot tell whether the
%% value it was given last was replaced or deleted meanwhile. `s' keys are never deleted, so there
%% an update is a swap: the last value the fun was given is the one that was replaced, and when it
%% was not called there was none. `n' keys are counters.
%%
%% Readers write nothing, and stay with one key of each ten seconds. On a node that is cut off all
%% others soon wait for a write of theirs, and so do reads of what is being written; a reader goes
%% on for as long as the node holds its lease.
-module(ram_torture_client).

-export([start/2, log_to/1, running/0, read_all/3, now_ns/0, keys/2, crashes/1]).

-define(EPOCH_NS, 10000000000).
%% A file never grows to the limit on files that stands for a full disk.
-define(FILE_OPERATIONS_MAX, 2000).
-define(PAUSE_MS_MAX, 12).
-define(REFUSED_PAUSE_MS, 50).

-type plan() :: #{folder := string(), from_ns := integer(), until_ns := integer(),
                  seed := integer(), role => reader}.

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
operation(_Client, Value, Plan) ->
    Names = names(),
    operation(key(lists:nth(rand:uniform(length(Names)), Names), epoch(Plan)), Value).

epoch(#{from_ns := From}) -> (now_ns() - From) div ?EPOCH_NS.

names() -> ["d1", "d2", "s1", "s2", "n1", "n2"].

key(Name, Epoch) ->
    iolist_to_binary([Name, $., integer_to_binary(Epoch)]).

%% @doc All keys of a run that began and ended then.
keys(FromNs, UntilNs) ->
    [key(Name, Epoch) || Epoch <- lists:seq(0, (UntilNs - FromNs) div ?EPOCH_NS), Name <- names()].

operation(<<"d", _/binary>> = Key, Value) ->
    case rand:uniform(20) of
        N when N =< 8 -> {read, Key};
        N when N =< 13 -> {write, Key, Value};
        N when N =< 16 -> {delete, Key};
        _ -> {rewrite, Key, Value}
    end;
operation(<<"s", _/binary>> = Key, Value) ->
    case rand:uniform(20) of
        N when N =< 8 -> {read, Key};
        N when N =< 12 -> {write, Key, Value};
        _ -> {swap, Key, Value}
    end;
operation(<<"n", _/binary>> = Key, _Value) ->
    case rand:uniform(20) of
        N when N =< 8 -> {read, Key};
        _ -> {add, Key}
    end.

call(File, Op, Operation) ->
    Number = integer_to_binary(Op),
    ok = file:write(File, line([$i, Number | words(Operation)])),
    Told = told(Operation),
    ok = file:write(File, line([$r, Number | answer(Told)])),
    case Told of failed -> failed; _ -> ok end.

words({read, Key}) -> [<<"read">>, Key];
words({write, Key, Value}) -> [<<"write">>, Key, Value];
words({rewrite, Key, Value}) -> [<<"write">>, Key, Value];
words({delete, Key}) -> [<<"delete">>, Key];
words({swap, Key, Value}) -> [<<"swap">>, Key, Value];
words({add, Key}) -> [<<"add">>, Key, <<"1">>].

answer({ok, Value}) -> [<<"ok">>, token(Value)];
answer(ok) -> [<<"ok">>];
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
        error:noproc -> failed
    end.

perform({read, Key}) ->
    case rand:uniform(2) of
        1 -> {ok, ram:get(Key, absent)};
        2 -> case ram:fetch(Key) of {ok, Value} -> {ok, Value}; error -> {ok, absent} end
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

%% @doc Reads all keys once, for the end of a run, as a client of this name.
-spec read_all(string(), string(), [binary()]) -> ok.
read_all(Name, Folder, Keys) ->
    File = open(Folder, Name),
    Read = fun(Key, Op) -> ok = call(File, Op, {read, Key}), Op + 1 end,
    _ = lists:foldl(Read, 1, Keys),
    file:close(File).
