%% A torture run in the ordinary tests, and that it can fail. RAM_SEED=<integer> repeats a schedule
%% of faults; RAM_SECONDS sets how long.
-module(ram_torture_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0]).
-export([under_all_faults_the_history_of_a_cluster_is_linearizable/1,
         with_a_network_for_each_node_the_history_is_linearizable/1,
         a_history_with_a_stale_read_a_lost_update_or_a_lost_count_is_refused/1,
         a_history_of_half_a_transfer_or_of_a_read_of_two_moments_is_refused/1,
         a_history_of_a_key_that_goes_early_comes_back_or_stays_is_refused/1,
         a_history_of_a_watch_with_a_gap_a_duplicate_or_half_a_write_is_refused/1,
         a_history_of_a_lock_with_two_holders_or_an_old_token_is_refused/1,
         a_history_of_a_name_of_two_processes_or_of_one_that_is_gone_is_refused/1,
         a_seed_makes_one_schedule_and_all_faults_come_in_it/1,
         wires_are_slow_or_held_or_lossy_or_cut_as_told/1,
         what_a_network_of_its_own_holds_back_does_not_arrive/1]).

suite() ->
    [{timetrap, {minutes, 10}}].

all() ->
    ram_case:all(?MODULE).

under_all_faults_the_history_of_a_cluster_is_linearizable(Config) ->
    torture(Config, list_to_integer(os:getenv("RAM_SECONDS", ram_case:amount("15", "60"))), links).

with_a_network_for_each_node_the_history_is_linearizable(Config) ->
    with_spaces(fun() -> torture(Config, ram_case:amount(8, 30), spaces) end).

torture(Config, Seconds, Wires) ->
    Folder = filename:join(ram_case:folder(Config), Wires),
    Options = #{seconds => Seconds, seed => ram_property:seed(), nodes => 3, wires => Wires,
                work => Folder, histories => filename:join(Folder, "histories")},
    ct:pal("RAM_SEED=~b", [maps:get(seed, Options)]),
    #{verdict := Verdict} = Result = ram_torture:run(Options),
    ct:pal("~ts", [ram_torture:summary(Result)]),
    ?assertEqual(linearizable, Verdict).

with_spaces(Case) ->
    case ram_spaces:available() of
        ok -> Case();
        {no, Why} -> {skip, Why}
    end.

%% Made up, and judged in the way of a real run.
a_history_with_a_stale_read_a_lost_update_or_a_lost_count_is_refused(Config) ->
    Good = [["i 1 write d1 a 10", "r 1 ok 20", "i 2 swap s1 x 30", "r 2 ok - 40",
             "i 3 add n1 1 50", "r 3 ok 60"],
            ["i 1 read d1 25", "r 1 ok a 35", "i 2 swap s1 y 45", "r 2 ok x 55",
             "i 3 add n1 1 55", "r 3 unknown 70", "i 4 read n1 80", "r 4 ok 2 90"]],
    Stale = [["i 1 write d1 a 10", "r 1 ok 20", "i 2 write d1 b 30", "r 2 ok 40"],
             ["i 1 read d1 50", "r 1 ok a 60"]],
    LostUpdate = [["i 1 swap s1 x 10", "r 1 ok - 20"], ["i 1 swap s1 y 30", "r 1 ok - 40"]],
    LostCount = [["i 1 add n1 1 10", "r 1 ok 20"],
                 ["i 1 add n1 1 30", "r 1 ok 40", "i 2 read n1 50", "r 2 ok 1 60"]],
    ?assertMatch({linearizable, _}, made_up(Config, "good", Good)),
    [begin
         ?assertMatch({{violation, _}, Name}, {made_up(Config, Name, Bad), Name}),
         Report = filename:join([ram_case:folder(Config), Name, "report.html"]),
         ?assert(filelib:is_regular(Report))
     end || {Name, Bad} <- [{"stale", Stale}, {"update", LostUpdate}, {"count", LostCount}]],
    ?assertMatch({malformed, _}, made_up(Config, "malformed", [["i 1 dance d1 10"]])).

a_history_of_half_a_transfer_or_of_a_read_of_two_moments_is_refused(Config) ->
    Bank = ["i 1 open a=9 b=9 10", "r 1 ok 20", "i 2 transfer a b 4 30", "r 2 ok 40"],
    Half = ["i 1 look 30", "r 1 ok a=5 b=9 50"],
    Lists = ["i 1 lists l m l+1 m+1 10", "r 1 ok l=- m=- 20"],
    Mixed = ["i 1 lists l m 10", "r 1 ok l=- m=1 25"],
    Stale = ["i 1 lists l 21", "r 1 ok l=- 25"],
    Good = [Bank, Lists, ["i 1 look 30", "r 1 ok a=5 b=13 50", "i 2 lists m l 60",
                          "r 2 ok m=1 l=1 70"]],
    ?assertMatch({linearizable, _}, made_up(Config, "whole", Good)),
    [refused(Config, Name, [Bank, Lists, Bad], Words)
     || {Name, Bad, Words} <- [{"half", Half, "the sum is 14, and was 18"},
                               {"mixed", Mixed, "G-single"},
                               {"stale_list", Stale, "lost_append"}]].

a_history_of_a_key_that_goes_early_comes_back_or_stays_is_refused(Config) ->
    Put = ["i 1 timed put k v 1 0", "r 1 ok 10", "i 2 timed settled 1 20", "r 2 ok term 7 30",
           "i 3 timed settled 1 9000020", "r 3 ok term 7 9000030"],
    Gone = ["i 1 timed get k 40", "r 1 ok found v 50",
            "i 2 timed get k 1000040", "r 2 ok found - 1000050"],
    ?assertMatch({linearizable, _}, made_up(Config, "in_time", [Put, Gone])),
    [refused(Config, Name, [Put, Bad], Words)
     || {Name, Bad, Words}
            <- [{"early", ["i 1 timed get k 999900", "r 1 ok found - 999990"], "has gone"},
                {"back", Gone ++ ["i 3 timed get k 1000060", "r 3 ok found v 1000070"], "is back"},
                {"late", ["i 1 timed touch k 1 2000040", "r 1 ok touched yes 2000050"],
                 "had to be gone"}]].

a_history_of_a_watch_with_a_gap_a_duplicate_or_half_a_write_is_refused(Config) ->
    Writes = ["i 1 change k=v l=v 0", "r 1 ok rev 5 10", "i 2 change k! 20", "r 2 ok rev 6 30",
              "i 3 change m=w 40", "r 3 ok rev 7 50", "i 4 content 60", "r 4 ok l=v m=w 70"],
    Told = fun(Lines) -> ["w all initial 1", "b 4 2", "d 4 3" | Lines] end,
    First = "m 5 k=v l=v 11",
    Good = [First, "m 6 k!deleted 31", "w all from 7 40", "b 6 41", "m 7 m=w<- 51"],
    ?assertMatch({linearizable, _},
                 made_up(Config, "told", [Writes], [{"r.1.watch", Told(Good)}])),
    [refused(Config, Name, [Writes], [{"r.1.watch", Told(Bad)}], Words)
     || {Name, Bad, Words}
            <- [{"gap", [First, "m 7 m=w 51"], "revision 6 was not sent"},
                {"duplicate", [First, First], "cannot come after revision 5"},
                {"half_write", ["m 5 k=v 11"], "it was not sent l"},
                {"other_change", [First, "m 6 l!expired 31", "m 7 m=w 51"], "something else"},
                {"not_the_table", Good ++ ["m 8 m!expired 71"], "m holds nothing"}]].

a_history_of_a_lock_with_two_holders_or_an_old_token_is_refused(Config) ->
    First = ["i 1 owned lock l 0", "r 1 ok token 5 10", "i 2 owned guarded l 5 20", "r 2 ok yes 30",
             "i 3 owned unlock l 5 40", "r 3 ok yes 50"],
    Second = fun(Token) -> ["i 1 owned lock l 60", "r 1 ok token " ++ Token ++ " 70",
                            "i 2 owned guarded l 6 80", "r 2 ok yes 90"] end,
    Early = ["i 1 owned lock l 5", "r 1 ok token 6 15"],
    ?assertMatch({linearizable, _},
                 made_up(Config, "locks", [First, Second("6"), ["i 1 owned free l 100",
                                                                "r 1 ok yes 110"]])),
    [refused(Config, Name, [First | Bad], Words)
     || {Name, Bad, Words}
            <- [{"two_holders", [Early], "while another held it"},
                {"token", [Second("4")], "not larger"},
                {"old_token", [Second("6"), ["i 1 owned guarded l 5 95", "r 1 ok yes 99"]],
                 "older"},
                {"dead", [["i 1 owned free l 100", "r 1 ok no 110"]], "not free"}]].

a_history_of_a_name_of_two_processes_or_of_one_that_is_gone_is_refused(Config) ->
    First = ["i 1 named register a p 0", "r 1 ok yes 10", "i 2 named whereis a 20",
             "r 2 ok found p 30", "i 3 named unregister a 40", "r 3 ok 50"],
    Second = fun(Called, Returned) ->
                     ["i 1 named register a q " ++ Called, "r 1 ok yes " ++ Returned]
             end,
    Found = fun(What) -> ["i 1 named whereis a 60", "r 1 ok found " ++ What ++ " 70"] end,
    Free = fun(Answer) -> ["i 1 named free a 100", "r 1 ok " ++ Answer ++ " 110"] end,
    ?assertMatch({linearizable, _},
                 made_up(Config, "names", [First, Second("45", "80"), Found("q"), Free("yes")])),
    [refused(Config, Name, [First | Bad], Words)
     || {Name, Bad, Words}
            <- [{"two_processes", [Second("15", "35")], "while another process had the name"},
                {"not_found", [["i 1 named whereis a 11", "r 1 ok found - 39"]], "did not find"},
                {"gone", [Found("p")], "had lost the name"},
                {"never", [Found("q")], "never had the name"},
                {"named_dead", [Free("no")], "not free"}]].

refused(Config, Name, Clients, Words) ->
    refused(Config, Name, Clients, [], Words).

refused(Config, Name, Clients, Receivers, Words) ->
    {Verdict, Text} = made_up(Config, Name, Clients, Receivers),
    ?assertEqual({Name, violation}, {Name, Verdict}),
    ?assertNotEqual(nomatch, string:find(Text, Words), Text).

made_up(Config, Name, Clients) ->
    made_up(Config, Name, Clients, []).

made_up(Config, Name, Clients, Receivers) ->
    Folder = filename:join(ram_case:folder(Config), Name),
    ok = filelib:ensure_path(Folder),
    [ok = file:write_file(filename:join(Folder, integer_to_list(N) ++ ".history"),
                          [[Line, $\n] || Line <- ["# node n" | Lines]])
     || {N, Lines} <- lists:zip(lists:seq(1, length(Clients)), Clients)],
    [ok = file:write_file(filename:join(Folder, File), [[Line, $\n] || Line <- Lines])
     || {File, Lines} <- Receivers],
    ram_torture:check(Folder).

a_seed_makes_one_schedule_and_all_faults_come_in_it(_Config) ->
    Seed = ram_property:seed(),
    [begin
         Schedule = ram_nemesis:schedule(Seed, Count, 60000),
         ?assertEqual(Schedule, ram_nemesis:schedule(Seed, Count, 60000)),
         ?assertNotEqual(Schedule, ram_nemesis:schedule(Seed + 1, Count, 60000)),
         Kinds = [element(1, Fault) || {_, _, Faults} <- Schedule, Fault <- Faults],
         ?assertEqual({Seed, []}, {Seed, ram_nemesis:kinds() -- Kinds})
     end || Count <- [3, 5]].

%%% The wires

wires_are_slow_or_held_or_lossy_or_cut_as_told(_Config) ->
    Links = ram_links:start(),
    [One, Two] = Ips = [{127, 200, 9, I} || I <- [1, 2]],
    [Port, _] = [ram_links:link_to(Links, I, inet:ntoa(Ip))
                 || {I, Ip} <- lists:reverse(lists:zip([1, 2], Ips))],
    {ok, Listener} = gen_tcp:listen(Port, [{ip, Two}, {active, false}, {nodelay, true}]),
    Connect = fun() -> connected(One, Port, Listener) end,
    {There, Back} = Connect(),
    ?assert(passed_ms(There, Back) < 100),
    ok = ram_links:tune(Links, 1, 2, {slow, 150, 20}),
    ?assert(passed_ms(There, Back) >= 150),
    ?assert(passed_ms(Back, There) < 100),
    ok = ram_links:hold(Links, 1, 2),
    ok = gen_tcp:send(There, "held"),
    ?assertEqual({error, timeout}, gen_tcp:recv(Back, 4, 200)),
    ok = ram_links:heal(Links),
    ?assertEqual({ok, "held"}, gen_tcp:recv(Back, 4, 2000)),
    ok = ram_links:tune(Links, 2, 1, {lossy, 50, 2}),
    lost(Back, There, 500),
    {There2, _Back2} = Connect(),
    ok = ram_links:cut(Links, 1, 2),
    ?assertEqual({error, closed}, gen_tcp:recv(There2, 0, 2000)),
    ok = ram_links:stop(Links).

connected(From, Port, Listener) ->
    {ok, There} = gen_tcp:connect({127, 0, 0, 1}, Port, [{ip, From}, {active, false},
                                                         {nodelay, true}]),
    {ok, Back} = gen_tcp:accept(Listener, 2000),
    {There, Back}.

passed_ms(From, To) ->
    {Micros, {ok, "ping"}} = timer:tc(fun() ->
                                              ok = gen_tcp:send(From, "ping"),
                                              gen_tcp:recv(To, 4, 2000)
                                      end),
    Micros div 1000.

%% Sooner or later a lossy wire breaks the connection; until then nothing is lost or turned round.
lost(From, To, Left) when Left > 0 ->
    case gen_tcp:send(From, "ping") =:= ok andalso gen_tcp:recv(To, 4, 2000) of
        {ok, "ping"} -> lost(From, To, Left - 1);
        false -> ok;
        {error, closed} -> ok
    end.

what_a_network_of_its_own_holds_back_does_not_arrive(Config) ->
    with_spaces(fun() -> held_back(Config) end).

held_back(Config) ->
    Run = ram_peers:start(2, ram_case:folder(Config), [], spaces),
    Ping = fun() -> ram_peers:call(Run, 1, net_adm, ping, [ram_peers:node(Run, 2)]) end,
    ?assertEqual(pong, Ping()),
    %% Held before it is disconnected: node 2 may connect again by itself, and on a connection that
    %% stands a ping waits until the nodes miss each other.
    ok = ram_peers:tune(Run, 2, 1, held),
    true = ram_peers:call(Run, 1, erlang, disconnect_node, [ram_peers:node(Run, 2)]),
    ?assertEqual(pang, Ping()),
    ok = ram_peers:heal(Run),
    ram_peers:eventually(fun() -> Ping() =:= pong end),
    ram_peers:stop(Run).
