#!/usr/bin/env escript
%% -*- erlang -*-
%% What ram does, shown on one machine: three nodes, each a process of its own; terms put and got on
%% all of them; the leader killed; a fourth node. Run by demo.sh, which gives the folder to use and
%% ends what this leaves when it fails. Every claim is checked; the first that does not hold is told
%% and ends the demonstration with status 1.
-mode(compile).

-define(PER_NODE, 100).
-define(STEP_MS, 20000).

main([Folder]) ->
    try demonstrate(Folder)
    catch
        Class:Reason:Stack ->
            io:format("~nThe demonstration failed with ~0tp:~n    ~0tp~n    at ~0tp~n",
                      [Class, Reason, hd(Stack)]),
            [io:format("~n~ts ends with:~n~ts", [Log, Tail]) || {Log, Tail} <- logs(Folder)],
            halt(1)
    end.

demonstrate(Folder) ->
    Cookie = binary_to_list(binary:encode_hex(crypto:strong_rand_bytes(16))),
    Start = fun(Name) -> start_node(Name, Folder, Cookie) end,
    Peers = start_three(Start),
    Names = [Name || {_, Name} <- Peers],
    make_cluster(Peers, Names),
    Terms = put_on_all(Peers),
    read_on_all("Every node gets every value", Peers, Terms),
    count_on_all(Peers),
    Alive = kill_the_leader(Peers, Folder),
    read_on_all("Every value is still there", Alive, Terms),
    More = write_on(Alive, Terms),
    WithFourth = add_fourth(Start, Alive),
    read_on_all("It has every value, and so have the others", WithFourth, More),
    stop_all(WithFourth, Folder).

start_three(Start) ->
    {Ms, Peers} = timed(fun() -> [Start(Name) || Name <- ["ram1", "ram2", "ram3"]] end),
    say("Three Erlang nodes on this machine, each a process of its own", Ms),
    [detail("~s is process ~s", [Name, pid_of(Peer)]) || {Peer, Name} <- Peers],
    Peers.

make_cluster([{Peer, _} | _] = Peers, Names) ->
    {Ms, ok} = timed(fun() -> call(Peer, start_cluster, [Names]) end),
    say("One cluster of them: ram:start_cluster([...])", Ms),
    detail("~s leads", [leader(Peers, none)]).

%% Each node puts its share; what was put, all in all, is the answer.
put_on_all(Peers) ->
    Shares = [[{key(I), value(I)} || I <- lists:seq(From, From + ?PER_NODE - 1)]
              || From <- lists:seq(1, ?PER_NODE * length(Peers), ?PER_NODE)],
    {Ms, _} = timed(fun() -> [put_share(P, S) || {{P, _}, S} <- lists:zip(Peers, Shares)] end),
    say("~b terms put, ~b on each node: ram:put(Key, Value)",
        [?PER_NODE * length(Peers), ?PER_NODE], Ms),
    [{Key, Value} | _] = Terms = lists:append(Shares),
    detail("such as ~0tp => ~0tp", [Key, Value]),
    Terms.

put_share(Peer, Terms) ->
    [ok = call(Peer, put, [Key, Value]) || {Key, Value} <- Terms].

%% Terms of every kind; 1 and 1.0 are two keys.
key(I) when I rem 4 =:= 0 -> I;
key(I) when I rem 4 =:= 1 -> {user, I};
key(I) when I rem 4 =:= 2 -> float(I - 2);
key(I) -> #{id => I, <<"name">> => "session"}.

value(I) when I rem 3 =:= 0 -> [I, -I, I * 1.5, I bsl 100];
value(I) when I rem 3 =:= 1 -> #{name => <<"name ", (integer_to_binary(I))/binary>>, at => {I, I}};
value(I) -> {undefined, "text", binary:copy(<<I:16>>, I)}.

read_on_all(Claim, Peers, Terms) ->
    {Ms, Wrong} = timed(fun() -> [{Name, Key, Got} || {Peer, Name} <- Peers,
                                                      {Key, Value} <- Terms,
                                                      Got <- [call(Peer, fetch, [Key])],
                                                      Got =/= {ok, Value}]
                        end),
    case Wrong of
        [] -> say("~ts: ~b values got on each of ~b nodes",
                  [Claim, length(Terms), length(Peers)], Ms);
        [{Name, Key, Got} | _] ->
            First = [{key, Key}, {got, Got}, {on, Name}],
            error({values_are_wrong, length(Wrong), First})
    end.

%% All nodes change one key at the same time; no change gets lost.
count_on_all(Peers) ->
    Bump = bump(),
    Add = fun({Peer, _}) ->
              spawn_monitor(fun() -> [ok = call(Peer, update, [hits, 1, Bump])
                                         || _ <- lists:seq(1, 20)] end)
          end,
    {Ms, _} = timed(fun() ->
                        Workers = [Add(Peer) || Peer <- Peers],
                        [receive {'DOWN', Ref, _, _, Reason} -> normal = Reason end
                         || {_, Ref} <- Workers]
                    end),
    Expected = 20 * length(Peers),
    [error({the_counter_is_wrong, [{expected, Expected}, {got, Got}, {on, Name}]})
     || {Peer, Name} <- Peers, Got <- [call(Peer, get, [hits])], Got =/= Expected],
    say("~b changes of one counter from all nodes at once, none lost: ram:update(...)",
        [Expected], Ms).

%% A fun of this file exists only here; the nodes get one for the interpreter that they have.
bump() ->
    {ok, Tokens, _} = erl_scan:string("fun(N) -> N + 1 end."),
    {ok, [Expression]} = erl_parse:parse_exprs(Tokens),
    {value, Fun, _} = erl_eval:expr(Expression, []),
    Fun.

kill_the_leader(Peers, Folder) ->
    Leader = leader(Peers, none),
    {Victim, Leader} = lists:keyfind(Leader, 2, Peers),
    Pid = pid_of(Victim),
    Alive = [{Next, _} | _] = lists:keydelete(Leader, 2, Peers),
    [] = os:cmd("kill -9 " ++ Pid),
    ok = file:delete(pid_file(Folder, Pid)),
    {Ms, ok} = timed(fun() -> call(Next, put, [after_the_kill, true]) end),
    say("The leader is killed (kill -9 ~s); the next write waits for a new one", [Pid], Ms),
    detail("~s was it, ~s leads now, and no call failed", [Leader, leader(Alive, Leader)]),
    Alive.

write_on(Peers, Terms) ->
    New = [{{Name, I}, {written_by, Name, I}} || {_, Name} <- Peers, I <- lists:seq(1, ?PER_NODE)],
    {Ms, _} = timed(fun() -> [ok = call(Peer, put, [Key, Value])
                              || {Peer, Name} <- Peers, {{By, _} = Key, Value} <- New, By =:= Name]
                    end),
    say("Writes go on: ~b more terms put", [length(New)], Ms),
    Terms ++ New.

add_fourth(Start, [{Peer, _} | _] = Peers) ->
    {_, Name} = Fourth = Start("ram4"),
    {Ms, ok} = timed(fun() -> call(Peer, add_node, [Name]) end),
    say("A fourth node joins: ram:add_node('~s')", [Name], Ms),
    Members = call(Peer, nodes, []),
    true = lists:member(Name, Members),
    detail("members: ~0tp", [Members]),
    [Fourth | Peers].

stop_all(Peers, Folder) ->
    Pids = [pid_of(Peer) || {Peer, _} <- Peers],
    {Ms, _} = timed(fun() ->
                        [peer:stop(Peer) || {Peer, _} <- Peers],
                        [wait_for(fun() -> is_gone(Pid) end) || Pid <- Pids]
                    end),
    [ok = file:delete(pid_file(Folder, Pid)) || Pid <- Pids],
    say("The nodes are stopped; their data goes with the folder ~ts", [Folder], Ms).

is_gone(Pid) ->
    case os:cmd("kill -0 " ++ Pid) of
        [] -> not_yet;
        _NoSuchProcess -> {ok, gone}
    end.

%%% Nodes

start_node(Name, Folder, Cookie) ->
    Ebin = filename:absname("_build/default/lib/ram/ebin"),
    Log = filename:join(Folder, Name ++ ".log"),
    Logger = [{handler, default, logger_std_h, #{config => #{file => Log}}}],
    Arguments = ["-pa", Ebin, "-setcookie", Cookie, "-start_epmd", "false",
                 "-kernel", "logger", io_lib:format("~0p", [Logger]),
                 "-ram", "data_dir", io_lib:format("~0p", [filename:join(Folder, Name)])],
    {ok, Peer, Node} = peer:start(#{name => Name, host => "127.0.0.1", longnames => true,
                                    connection => standard_io, wait_boot => ?STEP_MS,
                                    args => [lists:flatten(A) || A <- Arguments]}),
    ok = file:write_file(pid_file(Folder, pid_of(Peer)), Name),
    {Peer, Node}.

%% What demo.sh ends when this does not.
pid_file(Folder, Pid) ->
    filename:join([Folder, "pids", Pid]).

pid_of(Peer) ->
    peer:call(Peer, os, getpid, []).

%% Whom all of them take for the leader; not the one that was.
leader(Peers, Former) ->
    wait_for(fun() ->
        case lists:usort([call(Peer, leader, []) || {Peer, _} <- Peers]) of
            [Leader] when Leader =/= undefined, Leader =/= Former -> {ok, Leader};
            _ -> not_yet
        end
    end).

call(Peer, Function, Arguments) ->
    peer:call(Peer, ram, Function, Arguments, ?STEP_MS).

%% The end of what each node logged.
logs(Folder) ->
    [{Log, binary:part(Text, byte_size(Text), -min(2000, byte_size(Text)))}
     || Log <- filelib:wildcard(filename:join(Folder, "*.log")),
        {ok, Text} <- [file:read_file(Log)],
        Text =/= <<>>].

wait_for(Ask) ->
    wait_for(Ask, erlang:monotonic_time(millisecond) + ?STEP_MS).

wait_for(Ask, Until) ->
    case Ask() of
        {ok, Answer} ->
            Answer;
        not_yet ->
            erlang:monotonic_time(millisecond) < Until orelse error(waited_in_vain),
            timer:sleep(20),
            wait_for(Ask, Until)
    end.

%%% Words

timed(Fun) ->
    Start = erlang:monotonic_time(microsecond),
    Result = Fun(),
    {(erlang:monotonic_time(microsecond) - Start + 500) div 1000, Result}.

say(Format, Arguments, Ms) ->
    say(io_lib:format(Format, Arguments), Ms).

say(Text, Ms) ->
    io:format("~-88ts ~6b ms~n", [lists:flatten(Text), Ms]).

detail(Format, Arguments) ->
    io:format("    " ++ Format ++ "~n", Arguments).
